"""Why we answer otherwise than moleculer-web. R is the reliability reference, G the gateway reference, S4 a promise of R."""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, str]] = {
    # Which alias
    "wrong-method": "A path that has other methods is 405 with Allow, not 404 (R 5.1).",
    "head": "HEAD is answered where GET is (RFC 9110 section 9.3.2).",
    "options": "OPTIONS never runs an action by itself: 204 with Allow; one that an alias names is called (G 8).",
    "rare-methods": "Methods that no alias names run nothing: 405 (R 5.1). TRACE and CONNECT are never answered.",
    "path-checked": "A path with a broken or dangerous part is 400 INVALID_PATH, wherever it leads (R 5.1).",
    "path-decoded": "A path is decoded once, and that one form serves routing and values alike (R 5.1).",
    "slashes": "A doubled slash is never repaired into a match (R 5.1).",
    "one-case-rule": "Prefixes of routes match in upper and lower case alike, as aliases do (G 8).",
    "segments": "The prefix of a route ends where a segment does: /apix is not below /api (G 8).",
    "specific": "The most specific alias wins, whatever route it is written in and however deep that is (architecture).",
    "restrict": "A route without a mapping policy is restricted to its aliases (R 7).",
    "internal": "Internal actions and the gateway's own are closed unless a whitelist names them (R 5.1, G 8).",
    "absolute-form": "The path of a target in absolute form is used (R 5.1, RFC 9112 section 3.2.2).",
    # Bodies and params
    "unread-body": "A body of a type that the route does not read is 415, not ignored (R 5.1).",
    "body-errors": "What is wrong with a body is told by the gateway's own classes and types, not the parser's (R 5.1).",
    "body-strict": "A body that could not be passed on unchanged is refused: range, depth, UTF-8, surrogates (R 5.1).",
    "body-limit": "Bodies may have 1 MiB unless the settings say otherwise (R 6).",
    "list-body": "A list as body is taken where params are not merged only (R 5.1).",
    "forms": "A route that does not name its parsers reads forms, too.",
    "encodings": "gzip (also x-gzip) and deflate (also without its wrapper) are unpacked, br where it is installed; others are 415.",
    "broken-encoding": "A body that cannot be unpacked is the client's fault: 400 (R 5.1); an empty one needs no unpacking.",
    "plain-keys": "Names that mean something to JavaScript are ordinary keys (R 5.1).",
    "too-many": "More pairs or levels than the limit are refused, not cut (R 5.1).",
    "lists": "Values of one name are a list, however many there are.",
    "numbers": "Whole numbers of any size are kept; Node.js rounds them.",
    # Answers
    "meta-checked": "What an action wants in a head is checked; what has no place there is dropped and logged (R 5.1).",
    "meta-encoded": "A header value that is not ASCII is percent-encoded, whatever its characters (G 8).",
    "status-checked": "A $statusCode that cannot be sent is 500 INVALID_STATUS_CODE (R 5.1).",
    "header-names": "Names of headers in `responseHeaders` are the same in upper and lower case (RFC 9110 section 5.1).",
    "no-content": "205 has no content (RFC 9110 section 15.3.6).",
    "bytes": "Bytes inside of JSON are base64 text, as in the mesh.",
    "buffer": "An object with a type 'Buffer' but no bytes is an object as any other.",
    "ids": "A request id is taken over if it is 1 to 128 of A-Z a-z 0-9 . _ -, else a new one is made (G 8).",
    "after-nothing": "`onAfterCall` that returns None leaves the result as it is, `reformatError` the body.",
    "listing": "Aliases are listed as they are written, and paths spelt in one way.",
    # Errors
    "hidden": "An unexpected exception is 500 with a request id; what it says is in the log only (S4).",
    "types": "Every error of the gateway has a type, as programs go by it (R 5.1).",
    "error-classes": "The gateway's own errors have names that say what they are.",
    "codes": "The code in the body is the status that is sent: 400 to 599, else 500 (R 5.1).",
    "null-data": "Data that is null is left out, as data that is absent.",
    "no-nodes": "Texts of errors hold no names of nodes (S4).",
    "no-values": "Faults of validation are told without the values that were sent (R 5.1).",
    "error-type": "The body of an error is JSON and is called so, whatever type the action set for its result.",
    "hook-fails": "An `onError` that fails is 500, and the node goes on.",
    # Guards
    "challenge": "401 says how to come in: WWW-Authenticate (RFC 9110 section 15.5.2).",
    "stages": "An error goes past the stages to whoever answers it, so what they would add to a reply is not on it.",
    "rate-headers": "RateLimit fields beside moleculer-web's, and Retry-After with 429 (R 5.1).",
    "rate-refused": "What a list of the route forbids is counted, too: else the headers would tell it from what is not there.",
    "rate-key": "Who is limited is told by the socket, not by X-Forwarded-For (R 5.1, R 7).",
    # CORS
    "origins": "Origins are compared as a whole: scheme, host, port; a wildcard is one label of a host (R 5.1, G 8).",
    "cors-first": "CORS stands around all else: foreign origins get nothing but 403, early errors have its headers, too.",
    "vary": "Vary names all that the answer depends on: Origin also where there is none, and on refusals (R 5.1).",
    "cors-empty": "Empty lists are left out of a preflight's answer; a max age of 0 is told.",
    # Caching and files
    "safe-methods": "304 is an answer to GET and HEAD only, and of routes that make tags (G 8, RFC 9110 section 13).",
    "empty-tags": "Nothing has no tag; that there is anything is what If-None-Match: * asks (RFC 9110 section 13.1.2).",
    "file-refusals": "A range that cannot be had is 416; odd or many ranges are ignored (R 5.1, RFC 9110 section 14.2).",
    "file-ranges": "Up to five ranges are answered as multipart/byteranges (RFC 9110 section 14.6).",
    "file-folders": "A folder is 404 unless it has an index; then the way to it is a relative redirect (R 5.1, G 8).",
    "file-conditions": "A file that is not the one the client wants (If-Match) is 412, not 404 (RFC 9110 section 13.1).",
    "file-304": "304 has those headers only that a cache is to renew (RFC 9110 section 15.4.5).",
    # Uploads
    "form-errors": "A form that is broken is the client's fault: 400 INVALID_BODY (R 5.1).",
    "form-limits": "More than a limit is 413; nothing is left out silently (R 5.1).",
    "file-names": "Names of files are cleaned; an empty one is 'unnamed' (R 5.1).",
    # The server
    "refusals": "What the server refuses has a body that says why (R 5.1).",
    "strict-heads": "A head that could be read in two ways is refused (R 5.1).",
    "head-limits": "Limits of heads: 8 KiB for a line, 32 KiB and 100 lines in all (R 6).",
    "expectations": "An expectation that is not met has a body that says why.",
    "upgrade": "An upgrade to WebSocket where there is none is refused.",
}
