"""The app that travels whole to the runner: it imports nothing of the project but itself.

app        the fal.App that ties these together        settings  what the package says about itself
requests/  what may be asked for, pictures as inputs    errors    how a request can fail, and what the caller is told
drawing/   engine, its weights, batches and turns       billing   units of what was delivered (pure)
safety/    prompt policy, picture checkers              delivery  a picture's way: checked, marked, encoded, handed out
marking/   signed metadata, watermark, their detector   pictures  files in, links out
runner/    start, end, logs, metrics, the boundary      answers   what is answered beside errors
"""
