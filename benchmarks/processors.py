"""Names of processors: the folders of results, and the titles in tables.

The processor of a virtual machine often has a name without a model number, such as "Intel(R) Xeon(R) Processor". Its
generation then follows from family, model and stepping. The name ends with the widest instruction set, because a
virtual machine can hide some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INTEL = {
    63: "Haswell",
    79: "Broadwell",
    106: "Ice Lake",
    108: "Ice Lake",
    143: "Sapphire Rapids",
    173: "Granite Rapids",
    174: "Granite Rapids",
    207: "Emerald Rapids",
}
"""Generations of Intel's server processors of family 6, by model. Model 85 depends on the stepping."""
_ZEN_2_FIRST_MODEL = 0x30
_ZEN_4_MODELS = (range(0x10, 0x20), range(0x60, 0x80), range(0xA0, 0xB0))
_LEVELS = (
    ("amx_bf16", "AMX"),
    ("avx512_bf16", "AVX512-BF16"),
    ("avx512f", "AVX512"),
    ("avx2", "AVX2"),
    ("sse4_2", "SSE4.2"),
    ("asimd", "NEON"),
)
"""Instruction sets that decide how fast the kernel multiplies, the widest first."""
_NOISE = re.compile(r"\((?:R|TM)\)|@.*|\b(?:CPU|Processor|with .*)|\b\d+-Core\b", re.IGNORECASE)


def generation(machine: Mapping[str, Any]) -> str:
    """Return the generation of a machine's processor; "" if it is unknown or was not recorded."""
    vendor, family, model = (machine.get(name) for name in ("vendor", "family", "model"))
    if family is None or model is None:
        return ""
    if (vendor, family) == ("GenuineIntel", 6):
        return _xeon_of_model_85(int(machine.get("stepping") or 0)) if model == 85 else _INTEL.get(model, "")
    if vendor != "AuthenticAMD":
        return ""
    if family == 0x17:
        return "Zen 2" if model >= _ZEN_2_FIRST_MODEL else "Zen"
    if family == 0x19:
        return "Zen 4" if any(model in models for models in _ZEN_4_MODELS) else "Zen 3"
    return "Zen 5" if family == 0x1A else ""


def name(machine: Mapping[str, Any]) -> str:
    """Return the name of a machine's processor, such as "Intel Xeon Emerald Rapids", or "NVIDIA H100 80GB".

    The generation is part of it only if the name of the processor has no number.
    """
    found = " ".join(_NOISE.sub(" ", str(machine.get("processor") or machine.get("gpu") or "")).split())
    if not re.search(r"\d", found):
        found = f"{found} {generation(machine)}".strip()
    return found or "unknown processor"


def title(machine: Mapping[str, Any]) -> str:
    """Return the name with the widest instruction set: "Intel Xeon Emerald Rapids (AVX512)"."""
    details = [level for level in (_level(machine), _limit(machine)) if level]
    return f"{name(machine)} ({', '.join(details)})" if details else name(machine)


def slug(machine: Mapping[str, Any]) -> str:
    """Return the folder name of a machine's results, such as "intel-xeon-emerald-rapids-avx512"."""
    return re.sub(r"[^a-z0-9]+", "-", f"{name(machine)} {_level(machine)} {_limit(machine)}".lower()).strip("-")


def _level(machine: Mapping[str, Any]) -> str:
    sets = machine.get("instruction_sets") or ()
    return next((level for name, level in _LEVELS if name in sets), "")


def _limit(machine: Mapping[str, Any]) -> str:
    limit = machine.get("kernel_limited_to")
    return f"kernel {limit}" if limit else ""


def _xeon_of_model_85(stepping: int) -> str:
    return "Skylake" if stepping < 5 else "Cascade Lake" if stepping < 10 else "Cooper Lake"
