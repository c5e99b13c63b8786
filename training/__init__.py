"""From a manifest of pictures to an adapter bundle: one proven definition of what the denoiser sees, one loop, one judgement.

commands     run (one folder in, one folder out), stages, config, presets, events, signals, errors
data/        a dataset found, judged, cut into buckets and encoded;  shelf opens what was encoded
base         base, base_files; families/: one row each; recording, wiring, denoise, conditioning, latents
loop         loop over batches: objective, losses, optimizers, schedules, trainee, fit, quantised, compiling, fused;
             logpoint, checkpoint, patience, validation; adapter and lokr are what is trained
evaluation   evaluate, looks, shots, grid, scores, distances, measures, memorisation, comparison; gate decides
export       export, export_formats, export_metadata, export_bundle, bundle; keys, pairs, metadata
way in       adopt, adoption, attach: an adapter from elsewhere;  sample draws with a finished one
forecast/    memory, seconds and cost of a job before anything is downloaded
"""
