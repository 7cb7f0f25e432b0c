import json, httpx, asyncio
from system import System
REG = {"name":"KSP","legal_entity_number":"1","legal_entity_date":"2010-01-01","kecamatan_code":"35.07.21"}
async def test_probe(system):
    async with system.client("registry") as c:
        async def p(label, **kw):
            method = kw.pop("method","POST"); path = kw.pop("path","/v1/cooperatives")
            try:
                a = await c.request(method, path, **kw)
                print(label, a.status_code, a.headers.get("content-type"), a.text[:300], dict(a.headers) if a.status_code==405 else "")
            except Exception as e: print(label, "EXC", repr(e))
        J={"content-type":"application/json"}
        await p("ok", json=REG)
        await p("again", json=REG)
        await p("surrogate key", content=b'{"\\ud800":1}', headers=J)
        await p("surrogate value", content=json.dumps({**REG,"name":"\ud800"}).encode(), headers=J)
        await p("nul", json={**REG,"name":"a\0b"})
        await p("hugeint", content=b'{"members_total":'+b"9"*5000+b'}', headers=J)
        await p("bad utf8", content=b'{"name":"\xff"}', headers=J)
        await p("malformed", content=b'{"name":', headers=J)
        await p("deep", content=b'['*100000, headers=J)
        await p("deep2", content=b'{"a":'*900+b'1'+b'}'*900, headers=J)
        await p("nan", content=b'{"members_total":NaN}', headers=J)
        await p("text", content=b'{"name":"a"}', headers={"content-type":"text/plain"})
        await p("noct", content=json.dumps(REG).encode())
        await p("empty")
        await p("404", method="GET", path="/nothing")
        await p("405", method="PUT", path="/v1/cooperatives")
        await p("delete", method="DELETE", path="/v1/cooperatives/0190b5a0-0000-7000-8000-000000000000")
        await p("slash", method="GET", path="/v1/cooperatives/")
        await p("head", method="HEAD", path="/v1/cooperatives")
        await p("trace", json={**REG, "legal_entity_number":"77"}, headers={"traceparent": b"\xff junk"})
        await p("413", content=b'"'+b"x"*1_000_001+b'"', headers=J)
        async def chunks(n):
            for _ in range(n): yield b"x"*100_000
        await p("413c", content=chunks(30), headers=J)
        for i in range(5):
            await p("413u", path="/v1/imports?source=ods", files={"file":("a.csv", b"x"*30_000_000)})
            await p("413uc", path="/v1/imports?source=ods", content=chunks(300), headers={"content-type":"multipart/form-data; boundary=x"})
        await p("mp noboundary", path="/v1/imports?source=ods", content=b"abc", headers={"content-type":"multipart/form-data"})
        await p("mp junk", path="/v1/imports?source=ods", content=b"abc", headers={"content-type":"multipart/form-data; boundary=x"})
        await p("mp extra", path="/v1/imports?source=ods", files={"file":("a.csv", b"x"), "other":("b", b"y")})
        await p("mp two", path="/v1/imports?source=ods", files=[("file",("a.csv", b"x")), ("file",("b", b"y"))])
        await p("mp text", path="/v1/imports?source=ods", data={"file":"abc"})
        await p("mp upper key", path="/v1/imports?source=ods", content=b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nabc\r\n--x--\r\n', headers={"content-type":"Multipart/Form-Data; boundary=x", "Idempotency-Key":"kk"})
        a = await c.get("/openapi.json"); print(a.json()["openapi"]); open("/tmp/registry.openapi.json","w").write(a.text)
        a = await c.get("/metrics"); print([l for l in a.text.splitlines() if "http_request_seconds_count" in l])
    for s in ("rat","mentoring","reporting"):
        async with system.client(s) as c:
            open(f"/tmp/{s}.openapi.json","w").write((await c.get("/openapi.json")).text)
            print((await c.get("/v1/projections")).text)
