"""May this base, with its parts and this dataset, be trained on and hosted for money? Evidence in, verdict out.

entrance     check, verdict, errors, catalogue (facts/ as data)
evidence     gathering reads a source once: folder or hub (hub_answers), by reference, filenames, card, header;
             archive keeps the bytes
texts        identify decides by words and fields; phrases, nearest and sketch tell differences; tags, spdx, markdown,
             prose; witnesses weighs
graph        graph, node: ancestry, lineage, links, lookalike, training_data, adapter, dataset (stated); against,
             relaxed; drawing
policy       policy over publisher: conditions, territory, ages, hard, alternatives; waivers, waiver_file, signature
duties       duties and what is asked: sentences, passages, attribution, papers, notices; fulfilment; bom, model_card,
             expression
for people   report from a reading, headline; drift of what was accepted, sarif; environment: the packages that are
             deployed
"""
