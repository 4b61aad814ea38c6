"""The services of the distributed engine, all on this machine's loopback, to try it and to test it.

PostgreSQL (a warehouse, the Iceberg catalog, Dagster's storage), Redis (Celery's broker), and Spark: a master, two workers and the Thrift
Server. They need the environment of `make scale-setup`. Nothing here is imported by the rest of the project.

python -m cdp_pipelines.scale up|down|status
"""
