"""HTTP/1.1 for requests to any server: TLS, proxies, limits of time and size. No redirects, cookies or compression.

It has no thread of its own. A library with threads inside can abort the interpreter at its exit (docs/decisions/0015).

    network        the blocking and the awaited one: pools of connections
    driving        runs a conversation on a socket
    dial           host names → a connected socket
    conversation   what to send and receive on it, as a generator: tunnel, handshake, request, response
    tls            the trusted authorities, and TLS over any channel
    proxies        which proxy serves which address
    channel        bytes both ways
    address        a URL, taken apart
    http1          bytes → a response
    failure        no response
"""
