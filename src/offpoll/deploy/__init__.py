"""A deployment on AWS: the zip of the functions, the stack, and what is left when it goes.

    parameters      what the template may be given; refuses what it could not be deployed with
    limits          a service's kinds against the parameters: timeouts, attempts
    target          a Lambda runtime and architecture: which wheels run there
    package         the zip: own_wheel + project + requirements (markers) → bytecode → contents, missing → archive
    account         credentials, region, account: who deploys, and the errors of AWS as ours
    code_bucket     where zips are kept
    stack           its state, and whether it is ours to change
    changes         a change set: proposed, shown, applied
    events          what CloudFormation does, resource by resource
    removal         the stack's end, and its data's

botocore is loaded when a client is first made. Nothing here prints or asks: the command line does.
"""
