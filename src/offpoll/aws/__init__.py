"""The adapters: object store, queue and table on AWS, each one signed HTTP call from its protocol. Nothing above knows them."""
