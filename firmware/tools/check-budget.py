"""Prints the flash, RAM and heap that the image uses, and fails if any is above the budget: check-budget.py ELF IMAGE BUDGET.

It reads the sizes with llvm-size and llvm-nm.
"""

import os
import subprocess
import sys

# The C3's RAM as data and as code sees it (ESP32-C3 technical reference manual, chapter 3).
RAM = [(0x3FC80000, 0x3FCE0000), (0x4037C000, 0x403E0000)]
# Sections that only reserve addresses, because the same RAM has two.
PLACEHOLDERS = ("_dummy", "_gap", ".stack")


def words(*command):
    """The lines that a program prints, each split into its words."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split() for line in output.splitlines()]


def main():
    elf, image, budget_path = sys.argv[1:]
    ram = reclaimed = 0
    # Name, size and address of each section, among lines that are something else.
    for line in words("llvm-size", "--format=sysv", elf):
        if len(line) != 3 or not line[2].isdigit():
            continue
        name, size, address = line[0], int(line[1]), int(line[2])
        if not any(low <= address < high for low, high in RAM):
            continue
        if name.startswith(".dram2"):
            reclaimed += size
        elif not name.endswith(PLACEHOLDERS):
            ram += size
    # Address, size, type and name of each symbol.
    symbols = words("llvm-nm", "--print-size", "--size-sort", "--radix=d", elf)
    heap = sum(int(size) for _, size, _, name in symbols if "HEAP" in name and int(size) >= 4096)
    # One region of the heap is part of `.bss`; the other is in RAM that nothing else can use.
    used = {"flash": os.path.getsize(image), "ram": ram - (heap - reclaimed), "heap": heap}

    with open(budget_path, encoding="utf-8") as file:
        lines = [line.split("=") for line in file if "=" in line and not line.startswith("#")]
    budget = {key.strip(): int(value) for key, value in lines}
    for key, size in used.items():
        print(f"{key:<6} {size:>9,} of {budget[key]:>9,} bytes")
    over = [key for key, size in used.items() if size > budget[key]]
    if over:
        sys.exit(f"above the budget of {budget_path}: {', '.join(over)}")


main()
