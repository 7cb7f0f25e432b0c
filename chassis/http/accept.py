"""Which of several media types a caller likes best (RFC 9110, section 12.5.1)."""

from collections.abc import Mapping


def preferred[F: str](accept: str | None, offered: Mapping[F, str]) -> F | None:
    """Return the best format for an Accept header, None when it takes none; of equals the first offered.

    `offered` maps formats to media types. Parameters other than q are ignored, and so is what can't be read.
    """
    ranges = [_range(part) for part in (accept or "*/*").split(",")]
    best: tuple[float, F] | None = None
    for name, media_type in offered.items():
        quality = _quality(media_type.partition(";")[0].strip(), ranges)
        if quality > 0 and (best is None or quality > best[0]):
            best = quality, name
    return best[1] if best else None


def _range(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
    return media_range, quality


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """Return the q of the most specific range that covers a media type, 0 when none does."""
    main = media_type.partition("/")[0]
    for covering in (media_type, f"{main}/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == covering:
                return quality
    return 0.0
