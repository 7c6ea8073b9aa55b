"""``molae evaluate FILE``: molecules or images, by what the file holds."""

from __future__ import annotations

from os import PathLike

from molae.datasets.files import DataError
from molae.datasets.image_files import is_image_source
from molae.workflows.evaluate import Evaluated, evaluate_file
from molae.workflows.evaluate_pictures import EvaluatedImages, evaluate_pictures


def evaluate_any(
    generated: str | PathLike[str],
    reference: str | PathLike[str],
    train: str | PathLike[str] | None = None,
    *,
    column: str | None = None,
    features: str | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> Evaluated | EvaluatedImages:
    """Every metric of a file beside another: see ``evaluate_file`` and ``evaluate_pictures``.

    Args:
        generated: What was drawn.
        reference: What it should be like.
        train: What was learnt from.
        column: Of tables of molecules.
        features: Of images.
        seed: Of what is drawn of images.
        workers: Processes that look at molecules.
        progress: Show bars.

    Raises:
        DataError: A file cannot be read, one holds images and the other molecules, or an option is
            given that is of the other kind.
    """
    given = {"generated": generated, "reference": reference, "training": train}
    kinds = {
        label: is_image_source(source) for label, source in given.items() if source is not None
    }
    if len(set(kinds.values())) > 1:
        images = " and ".join(label for label, pictured in kinds.items() if pictured)
        raise DataError(f"only the {images} file holds images; name files of one kind")
    if kinds["generated"]:
        if column is not None:
            raise DataError("--column is of tables of molecules; of images leave it out")
        named = {} if features is None else {"features": features}
        return evaluate_pictures(
            generated, reference, train, seed=seed, progress=progress, **named
        )
    if features is not None:
        raise DataError("--features is what images are compared in; of molecules leave it out")
    return evaluate_file(
        str(generated), str(reference), None if train is None else str(train), column=column,
        workers=workers, progress=progress,
    )  # fmt: skip
