"""The encoder that an index was written with: what its manifest says of it, and how it is opened again."""

from __future__ import annotations

from indexer.encoders.opening import RENAMED, open_encoder
from indexer.schema import Encoder
from indexer.storage.manifest import EncoderEntry

__all__ = ["described", "mismatch", "reopened", "same_space"]


def described(
    encoder: Encoder, model: str | None, query_prompt: str | None, passage_prompt: str | None
) -> EncoderEntry:
    """What a new index says of its encoder. `model`: what opens it next time; None: its own name."""
    return EncoderEntry(
        model or str(getattr(encoder, "model", encoder.name)),
        encoder.name,
        encoder.fingerprint,
        encoder.dim,
        query_prompt,
        passage_prompt,
        neutral=bool(getattr(encoder, "neutral", False)),
    )


def reopened(entry: EncoderEntry, device: str = "auto", batch_size: int = 64) -> Encoder:
    """The encoder of an index, opened as it was when the index was written. Raises as `open_encoder`."""
    return open_encoder(
        RENAMED.get(entry.model, entry.model),
        device=device,
        batch_size=batch_size,
        query_prompt=entry.query_prompt,
        passage_prompt=entry.passage_prompt,
        neutral=entry.neutral,
    )


def same_space(encoder: Encoder, entry: EncoderEntry) -> Encoder:
    """`encoder`, or what it is without its neutral space where the index was written so, as older ones were."""
    plain: Encoder | None = getattr(encoder, "plain", None)
    if plain is not None and plain.fingerprint == entry.fingerprint:
        return plain
    return encoder


def mismatch(encoder: Encoder, entry: EncoderEntry) -> str | None:
    """What is wrong with searching or changing the index of `entry` with `encoder`; None where nothing is."""
    if encoder.fingerprint == entry.fingerprint:
        return None
    anew = "build it anew from its own texts: tandem index build --from INDEX -o NEW"
    if encoder.name == entry.name and not entry.neutral:
        return (
            f"written with other weights or prompts of the encoder {entry.name} (fingerprint {entry.fingerprint}) than "
            f"this installation has ({encoder.fingerprint}); {anew}"
        )
    neutral = "; it was written with encoder.neutral=true" if entry.neutral else ""
    return (
        f"written with the encoder {entry.name} (fingerprint {entry.fingerprint}){neutral}, not with "
        f"{encoder.name} (fingerprint {encoder.fingerprint}); open it with that one, or {anew}"
    )
