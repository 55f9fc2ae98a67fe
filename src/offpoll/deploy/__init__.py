"""Deploys an app to AWS: builds the functions' zip, changes the stack, and deletes what outlives it.

botocore is loaded when the first client is made. Nothing here prints or asks: the command line does.
"""
