"""JSON documents by what a reader must do with each: accept it, refuse it, or as this gateway has chosen.

In the manner of the public suites for JSON readers. Of what stands in `ELEMENTS` each is one element of a list.
"""

from __future__ import annotations

# Must be accepted (RFC 8259); what comes of them is what the standard library's reader makes of them.
ACCEPTED_ELEMENTS = [
    b"0", b"-0", b"-0.0", b"0.0", b"1", b"-1", b"10", b"123", b"-123", b"1.5", b"-1.5", b"0.1", b"1e5", b"1E5", b"1e+5", b"1E-5", b"1.5e5",
    b"1.5E+5", b"-1.5e-5", b"0e1", b"0e+1", b"0E0", b"1e-400", b"123.456e78", b"1.7976931348623157e308", b"5e-324", b"0.3e-7",
    b"9007199254740993", b"9223372036854775807", b"-9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"1" * 100, b"-" + b"9" * 300,
    b"0.0000000000000000000000000000000000000000000000000000001", b"1000000000000000000000e-21", b"1." + b"0" * 200 + b"1", b"true", b"false", b"null",
    b'""', b'"a"', b'" "', b'"\\""', b'"\\\\"', b'"\\/"', b'"\\b\\f\\n\\r\\t"', b'"\\u0000"', b'"\\u001f"', b'"\\u0020"', b'"\\u007f"', b'"\x7f"', b'"\\u00e9"',
    b'"\\u20AC"', b'"\\u20ac"', b'"\\uD834\\uDD1E"', b'"\\ud834\\udd1e"', b'"\\uDBFF\\uDFFF"', b'"\\uFFFF"', b'"\\uFDD0"', b'"\\uFFFE"', b'"\\u2028\\u2029"',
    b'"\\\\u0000"', b'"\\\\\\u0041"', b'"\\u0022"', b'"\\u005C"', b'"a/*b*/c"', b'"//"', b'"\\"\\\\"', b'"[{]}"', b'",:"', b'"new\\u000Aline"', b'"\\u002c"',
    "\"é\"".encode(), "\"€\"".encode(), "\"𝄞\"".encode(), "\"\u2028\u2029\"".encode(), "\"\ufeff\"".encode(), "\"\u200b\"".encode(), "\"\U0010ffff\"".encode(),
    "\"\uffff\ufffe\ufdd0\"".encode(), "\"\u0080\u009f\"".encode(), "\"\u202e\"".encode(), "\"🏳️\u200d🌈\"".encode(), "\"ｱ\"".encode(), "\"a\u0301\"".encode(),
    b"[]", b"[[]]", b"[[[[[[]]]]]]", b"[1,2,3]", b"[null]", b"[true,false]", b"[[],{}]", b"[\"\"]", b"[ ]", b"[1 ]", b"[ 1]", b"[\n1\n,\r2\t]", b"{}", b"{ }",
    b'{"a":1}', b'{"a":{}}', b'{"":0}', b'{"a":1,"b":2}', b'{"a":1,"a":2}', b'{"a":null,"a":null}', b'{"a":[]}', b'{\n"a"\t:\r1\n}', b'{"\\u0061":1}',
    b'{"\\u0000":1}', b'{"a\\nb":1}', "{\"é\":\"é\"}".encode(), b'{"__proto__":{"a":1}}', b'{"constructor":1}', b'{"$where":"1"}', b'{"a.b":1}', b'{"a[b]":1}',
    b'{"toString":null}', b'{"length":-1}', b'{"1":1}', b'{"null":null}', b'{"self":1,"ctx":2,"meta":3,"opts":4}', b'{"type":"Buffer","data":[1]}',
    b'{"$responseHeaders":{"a":"b"}}', b"[" * 62 + b"]" * 62,
]  # fmt: skip
ACCEPTED = [
    b"[]", b"{}", b" []", b"[] ", b"\n\r\t []\n\r\t ", b'{"a":"b"}', b"\xef\xbb\xbf[1]", b"\xef\xbb\xbf{}", b"[\n]", b"[1,\n2]", b'["' + b"a" * 100_000 + b'"]',
    b"[" + b"1," * 50_000 + b"1]", b"{" + b",".join(b'"%d":0' % number for number in range(5_000)) + b"}", b" " * 10_000 + b"[]",
]  # fmt: skip

# Must be refused.
REFUSED_ELEMENTS = [
    b",", b"1,", b",1", b"1,,2", b"1 2", b"1 true", b"+1", b"++1", b"--1", b"-", b"- 1", b"+0", b"01", b"-01", b"00", b"0x1", b"0X1F", b"0b1", b"0o7", b".5", b"-.5",
    b"1.", b"-1.", b"0.", b".", b"1.e5", b".e5", b"1e", b"1E", b"1e+", b"1e-", b"1e1.5", b"1ee5", b"1e5e5", b"1.2.3", b"0e", b"0e+", b"0.1.2", b"1_000", b"1,000,", b"1a", b"1e+-5",
    b"0x", b"1 000.0", b"2.e3", b"2.e+3", b"-0.", b"-a", b"-true", b"$1", b"1\x00", b"\xef\xbc\x91", b"1/2", b"2**3", b"1L", b"1n", b"1f", b"1.5d",
    b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"+Infinity", b"inf", b"-inf", b"Inf", b"undefined", b"None", b"True", b"TRUE", b"False", b"Null", b"NULL", b"nil",
    b"tru", b"truee", b"fals", b"nul", b"nulll", b"t", b"n", b"truth", b"nulltrue", b"a", b"abc", b"\xe2\x82\xac", b"1e999", b"-1e999", b"1e4294967296", b"9" * 400 + b".0", b"9" * 5_000,
    b"'a'", b"\"a'", b"'a\"", b"`a`", b"\"a", b"a\"", b'"', b'"""', b'"a""b"', b'"a"b', b'"\\"', b'"\\', b'"\\a"', b'"\\x41"', b'"\\0"', b'"\\\'"', b'"\\v"', b'"\\e"', b'"\\u"',
    b'"\\u1"', b'"\\u12"', b'"\\u123"', b'"\\u123g"', b'"\\u{41}"', b'"\\U0041"', b'"\\u 041"', b'"\\u+041"', b'"\\u-041"', b'"\\ud800"', b'"\\udc00"', b'"\\ud800a"', b'"\\ud800\\n"',
    b'"\\udc00\\ud800"', b'"\\ud800\\ud800\\udc00"', b'"\\ud800\\u0041"', b'"\\ud800\\u"', b'"\\ud800\\udc0"', b'"\\uDFAA"', b'"a\nb"', b'"a\tb"', b'"a\rb"', b'"a\x00b"', b'"a\x1fb"',
    b'"\x08"', b'"\xff"', b'"\xfe\xff"', b'"\x80"', b'"\xc3"', b'"\xc3("', b'"\xe2\x82"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xf0\x80\x80\xaf"', b'"\xed\xa0\x80"',
    b'"\xed\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xf8\x88\x80\x80\x80"', b'"\xfc\x84\x80\x80\x80\x80"', b"\\u0041", b"\"a\" \"b\"",
    b"[", b"]", b"[1", b"1]", b"[1}", b"{1]", b"[[]", b"[]]", b"{", b"}", b"{}}", b"{]", b'{"a"}', b'{"a":}', b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{,"a":1}',
    b'{"a":1,,"b":2}', b'{"a" 1}', b'{"a"::1}', b'{:1}', b"{a:1}", b"{'a':1}", b"{1:1}", b"{null:1}", b"{true:1}", b"{[]:1}", b"{{}:1}", b'{"a":1 "b":2}', b'{"a","b"}', b'{"a":"b":"c"}',
    b'{"a":1;"b":2}', b'{"a"=1}', b'{"a"=>1}', b'{"\xff":1}', b'{"\\ud800":1}', b'{"a\nb":1}', b"{*}", b"{...a}", b"1//a", b"1/*a*/", b"/*a*/", b"#a", b"1#a", b"<a/>", b"(1)", b"@1", b"a()",
    b"\x00", b"\x0b1", b"1\x0c", b"\xc2\xa01", b"\xe2\x80\xa81", b"\xef\xbb\xbf1", b"\xe3\x80\x801", b'["', b'{"', b"\\", b"&", b"&nbsp;", b"!", b"%00",
]  # fmt: skip
REFUSED = [
    b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf[]", b"\xef\xbb[]", b"[][]", b"[] []", b"[]{}", b"[],", b",[]", b"[]x", b"x[]", b"[]\x00", b"[]#", b"[]//a", b"/*a*/[]", b"[]/*a*/",
    b"{}\n{}", b"\x1e[]", b"{}{}", b"[]]", b"[}", b"{]", b"]", b"}", b"[", b"{", b"[1", b'{"a":1', b"\xff\xfe[\x00]\x00", b"\xfe\xff\x00[\x00]", b"\x00\x00\x00[\x00\x00\x00]",
    b"\x1f\x8b\x08\x00", b"a=1", b"a=1&b=2", b"<?xml?>", b"while(1);[]", b")]}',\n[]", b"callback([])", b"---\n- 1", b"\x80\x04]\x94.", b"\x91\x01",
    b"1", b"-1.5", b"true", b"null", b'"a"', b'""', b" null ",
]  # fmt: skip
TOO_DEEP = [
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[" * 65 + b"]" * 65,
    b"[" * 5_000 + b"]" * 5_000,
    b"[" * 400_000 + b"]" * 400_000,
    b'{"a":' * 65 + b"1" + b"}" * 65,
    b'{"a":[' * 33 + b"]}" * 33,
]
