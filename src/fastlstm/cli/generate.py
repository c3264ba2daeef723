"""`fastlstm generate`: text that a language model writes."""

from __future__ import annotations

import click

from fastlstm.cli.options import common_options, language_model_option
from fastlstm.cli.output import json_object
from fastlstm.language_model.inference import LanguageModel


@click.command("generate")
@click.argument("prompt", default="")
@language_model_option
@click.option("--max-tokens", type=int, default=100, show_default=True, help="Tokens to write at most.")
@click.option("--temperature", type=float, default=0.8, show_default=True,
              help="Below 1 the likely becomes likelier; 0: always the likeliest.")  # fmt: skip
@click.option("--top-p", type=float, default=0.95, show_default=True,
              help="Draw from the likeliest tokens that have this probability together.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@common_options
def command(
    prompt: str,
    model: LanguageModel,
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    as_json: bool,
) -> None:
    """Write on from PROMPT with a language model; one that reads backward writes what comes before it."""
    pieces = model.stream(prompt, max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
    if as_json:
        json_object({"prompt": prompt, "text": "".join(pieces)})
        return
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
