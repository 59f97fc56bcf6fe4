"""Prints what the image takes of flash, RAM and heap, and fails if it is more than the budget: figures.py ELF IMAGE BUDGET."""

import os
import struct
import sys

# The C3's RAM as data and as code sees it (ESP32-C3 technical reference manual, chapter 3).
RAM = [(0x3FC80000, 0x3FCE0000), (0x4037C000, 0x403E0000)]
# Sections that only keep addresses free, because the same RAM is seen at two addresses.
PLACEHOLDERS = ("_dummy", "_gap", ".stack")


def sections(elf):
    """Name, type, flags, address, offset, size and link of each section (ELF32, little-endian)."""
    (offset,) = struct.unpack_from("<I", elf, 32)
    size, count, names = struct.unpack_from("<3H", elf, 46)
    headers = [struct.unpack_from("<10I", elf, offset + number * size) for number in range(count)]
    start = headers[names][4]
    for name, kind, flags, address, at, length, link, *_ in headers:
        yield text(elf, start + name), kind, flags, address, at, length, headers[link][4]


def text(elf, at):
    return elf[at : elf.index(b"\0", at)].decode()


def symbols(elf, at, length, names):
    for entry in range(at, at + length, 16):
        name, _, size = struct.unpack_from("<3I", elf, entry)
        yield text(elf, names + name), size


def main():
    elf_path, image_path, budget_path = sys.argv[1:]
    with open(elf_path, "rb") as file:
        elf = file.read()
    ram = heap = reclaimed = 0
    for name, kind, flags, address, at, length, names in sections(elf):
        if kind == 2:  # SHT_SYMTAB
            heap = sum(size for symbol, size in symbols(elf, at, length, names) if "HEAP" in symbol and size >= 4096)
        allocated = flags & 2 and any(low <= address < high for low, high in RAM)
        if allocated and name.startswith(".dram2"):
            reclaimed += length
        elif allocated and not name.endswith(PLACEHOLDERS):
            ram += length
    # The heap's own region stands in `.bss`; the other one in RAM that nothing else can use.
    found = {"flash": os.path.getsize(image_path), "ram": ram - (heap - reclaimed), "heap": heap}

    with open(budget_path, encoding="utf-8") as file:
        lines = [line.split("=") for line in file if "=" in line and not line.startswith("#")]
    budget = {key.strip(): int(value) for key, value in lines}
    for key, size in found.items():
        print(f"{key:<6} {size:>9,} of {budget[key]:>9,} bytes")
    over = [key for key, size in found.items() if size > budget[key]]
    if over:
        sys.exit(f"over the budget of {budget_path}: {', '.join(over)}")


main()
