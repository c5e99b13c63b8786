"""The story as Prefect flows: publish, retrain, licence report, monitor; and the command line over them."""
