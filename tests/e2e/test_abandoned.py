"""What is compressed for a client ends when he goes away."""

import re
import socket
import time
from urllib.parse import urlsplit

import numpy as np
from support import make_instance

J2K, FRAMES, SIDE = "1.2.840.10008.1.2.4.90", 100, 512


def encoded(server):
    text = server.http.get("/metrics").text
    return int(re.search(r'vna_codec_frames_total\{outcome="encoded"\} (\d+)', text)[1])


def test_who_goes_away_is_not_compressed_for_any_more(server):
    noise = np.random.default_rng(5).integers(0, 1 << 16, (FRAMES, SIDE, SIDE)).astype("<u2")
    pixels = noise.tobytes()
    attributes = {"NumberOfFrames": FRAMES, "Rows": SIDE, "Columns": SIDE}
    file = make_instance(size=len(pixels), PixelData=pixels, **attributes)
    public_id = server.upload(file)["ID"]
    before = encoded(server)
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as client:
        path = f"/instances/{public_id}/file?transcode={J2K}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while encoded(server) == before:
            time.sleep(0.02)
    end = time.monotonic() + 60
    last = -1
    while (now := encoded(server)) != last and time.monotonic() < end:
        last = now
        time.sleep(1)
    assert now - before < FRAMES
    assert server.http.get("/system").status_code == 200
