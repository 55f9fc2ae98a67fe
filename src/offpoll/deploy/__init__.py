"""Deploys an app to AWS: builds the functions' zip, changes the stack, and deletes what outlives it.

    parameters      the template's parameters, and the limits that they set to the app's kinds
    target          a Lambda runtime and architecture: the wheels and requirements that fit it
    package         builds the zip from offpoll, the requirements and the project, with bytecode
    contents        checks that the zip will run in Lambda, and finds missing modules
    archive         packs a folder into a zip, so that equal contents get equal names
    account         credentials, region and account; turns AWS's errors into ours
    code_bucket     the bucket that keeps the zips
    stack           a stack's state, and whether offpoll may change it
    changes         a change set: propose it, show it, apply it
    events          follows CloudFormation, resource by resource
    removal         deletes a stack's data

botocore is loaded when the first client is made. Nothing here prints or asks: the command line does.
"""
