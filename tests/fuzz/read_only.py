"""Small files of formats that Pillow reads and does not write, byte by byte."""

import io
import random
import struct
from collections.abc import Callable

from PIL import Image

W, H = 12, 9


def sun(rng: random.Random) -> bytes:
    return struct.pack(">8I", 0x59A66A95, W, H, 24, W * H * 3, 1, 0, 0) + rng.randbytes(W * H * 3)


def xpm(rng: random.Random) -> bytes:
    rows = ["".join(rng.choice("ab") for _ in range(W)) for _ in range(H)]
    lines = [f'"{W} {H} 2 1"', '"a c #FF0000"', '"b c #0020A0"', *(f'"{row}"' for row in rows)]
    return b"/* XPM */\nstatic char *x[] = {\n" + ",\n".join(lines).encode() + b"\n};\n"


def fits(rng: random.Random) -> bytes:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8"]
    cards += ["NAXIS   =                    2", f"NAXIS1  = {W:>20}", f"NAXIS2  = {H:>20}", "END"]
    head = "".join(f"{card:<80}" for card in cards).ljust(2880)
    return head.encode() + rng.randbytes(W * H).ljust(2880, b"\0")


def psd(rng: random.Random) -> bytes:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, H, W, 8, 3)
    return head + struct.pack(">IIIH", 0, 0, 0, 0) + rng.randbytes(W * H * 3)


def cur(rng: random.Random) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (W, H), rng.randbytes(W * H * 3)).save(out, format="DIB")
    dib = bytearray(out.getvalue())
    dib[8:12] = struct.pack("<i", 2 * H)  # the mask counts as rows
    mask = bytes(H * 4)
    head = struct.pack("<HHH", 0, 2, 1) + struct.pack("<BBBBHHII", W, H, 0, 0, 0, 0, len(dib), 22)
    return head + bytes(dib) + mask


def dcx(rng: random.Random) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (W, H), rng.randbytes(W * H * 3)).save(out, format="PCX")
    return struct.pack("<III", 987654321, 12, 0) + out.getvalue()


def gbr(rng: random.Random) -> bytes:
    head = struct.pack(">IIIII", 28 + 2, 2, W, H, 1) + b"GIMP" + struct.pack(">I", 10)
    return head + b"x\0" + rng.randbytes(W * H)


READ_ONLY: dict[str, Callable[[random.Random], bytes]] = {
    "SUN": sun, "XPM": xpm, "FITS": fits, "PSD": psd, "CUR": cur, "DCX": dcx, "GBR": gbr,
}  # fmt: skip
