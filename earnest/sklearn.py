"""Embeddings and classifiers for scikit-learn: pipelines, grids, folds by group, joblib.

make_pipeline(EmotionEmbedder("small"), EmotionClassifier()).fit(paths, labels)
"""

from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from earnest.audio.source import AudioInput
from earnest.bundle import DEFAULT_BUNDLE, load_bundle
from earnest.errors import AudioError, BundleError, counted, needs_extra
from earnest.evaluation.calibration import softmax
from earnest.learning.crossval import LabelledEmbeddings, LastLayer, temperature_of
from earnest.learning.discriminant import ABSENT, grouped_folds
from earnest.runtime.formats import Embeddings
from earnest.runtime.predictor import Predictor

with needs_extra("earnest.sklearn", "sklearn"):
    from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

Floats = npt.NDArray[np.float64]
N_FOLDS = 5  # that answer out of fold, for the temperature


class EmotionEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Turns recordings into embeddings, (n_recordings, width) float32; it learns nothing.

    Parameters
    ----------
    model : name or path of the bundle
    threads : cores that the network may use
    jobs : recordings decoded at a time
    errors : what a recording without an embedding is: "raise" an `AudioError`, or a row of "nan"

    Attributes
    ----------
    n_features_out_ : values of an embedding
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_BUNDLE,
        *,
        threads: int = 1,
        jobs: int = 1,
        errors: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.model, self.threads, self.jobs, self.errors = model, threads, jobs, errors

    def fit(self, X: Iterable[AudioInput], y: object = None) -> Self:  # noqa: N803
        """Load the model; recordings and labels are not looked at."""
        self._loaded = self.model, self.threads
        self._predictor = Predictor.load(*self._loaded)
        self.n_features_out_ = self._predictor.embedding_width
        return self

    def transform(self, X: Iterable[AudioInput]) -> npt.NDArray[np.float32]:  # noqa: N803
        """Return the embeddings of recordings: paths, (array, sample rate) and what else `AudioInput` says.

        Raises `AudioError` for a recording without an embedding, unless ``errors`` is "nan".
        """
        if self.errors not in ("raise", "nan"):
            raise ValueError(f"errors must be 'raise' or 'nan'; got {self.errors!r}.")
        if getattr(self, "_loaded", None) != (self.model, self.threads):  # stateless: without a fit, or set anew
            self.fit(X)
        rows = []
        for row in self._predictor.embed_many(_recordings(X), self.jobs):
            if self.errors == "raise" and row.error:  # the rest needn't be heard
                raise AudioError(f'{row.error} Or take errors="nan".')
            rows.append(row)
        return Embeddings.of(rows, self._predictor.embedding_width).vectors

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """Return "embedding0", "embedding1" …"""
        check_is_fitted(self, "n_features_out_")
        return np.array([f"embedding{number}" for number in range(self.n_features_out_)], object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.no_validation = False, True
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        return tags


def _recordings(X: Any) -> Iterable[AudioInput]:  # noqa: N803
    """Return recordings one by one, also of a column of a frame or of an array of paths."""
    if len(getattr(X, "columns", ())) == 1:  # a frame of one column, as ColumnTransformer gives it
        X = X.to_numpy()  # noqa: N806
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT":
        return list(X.ravel())
    return X  # type: ignore[no-any-return]


def _refuse_recordings(X: Any) -> None:  # noqa: N803
    """Refuse a list, an array or a column of paths where numbers are expected."""
    is_listed = isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1
    if is_listed and any(isinstance(one, str | Path) for one in X):
        raise ValueError(
            "EmotionClassifier expects numbers, got paths. It takes the embeddings of recordings: "
            "make_pipeline(EmotionEmbedder(), EmotionClassifier())."
        )


class EmotionClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The closed-form head of `earnest learn`: a linear discriminant with shrunk covariance, calibrated.

    Any numbers will do for it: embeddings of other models, other features.

    Parameters
    ----------
    base : name or path of the bundle that the embeddings are of, to learn from what it says of its own emotions too, as
        `earnest learn` does. Of few recordings much more is learnt so. Leave it out where the bundle has learnt from
        these very recordings: it would answer by heart, and cross-validation would not see it. None learns from the
        numbers alone
    shrinkage : of the covariance, above 0 to 1; "auto" chooses it inside among groups left out
    random_state : seed of what is drawn when folds are made

    Attributes
    ----------
    classes_ : shape (classes,)
    coef_, intercept_ : shape (classes, n_features_in_) and (classes,), of the scores
    shrinkage_ : the one that was taken
    temperature_ : that scores are divided by before softmax; fitted on scores out of fold, 1 where there are none
    """

    classes_: npt.NDArray[Any]

    def __init__(
        self, *, base: str | Path | None = None, shrinkage: float | Literal["auto"] = "auto", random_state: int = 0
    ) -> None:
        self.base, self.shrinkage, self.random_state = base, shrinkage, random_state

    def fit(self, X: Any, y: Any, groups: Sequence[Any] | None = None) -> Self:  # noqa: N803
        """Fit.

        Raises `BundleError` when there is no such ``base``, or ``X`` isn't of its embeddings.

        Parameters
        ----------
        X : shape (rows, features)
        y : shape (rows,), labels of at least two classes
        groups : of each row, such as its speaker: rows of one group stay together when the shrinkage is chosen and
            probabilities are calibrated; None lets each row stand alone
        """
        _refuse_recordings(X)
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            (only,) = self.classes_.tolist()
            raise ValueError(f"EmotionClassifier needs samples of two classes, got 1 class: {only!r}.")
        is_number = isinstance(self.shrinkage, Real) and not isinstance(self.shrinkage, bool)
        if self.shrinkage != "auto" and not (is_number and 0 < self.shrinkage <= 1):
            raise ValueError(f"shrinkage must be above 0, at most 1, or 'auto'; got {self.shrinkage!r}.")
        names = self._groups(groups, len(y))
        data = LabelledEmbeddings(
            X, targets, names, n_classes, np.zeros(len(y), np.bool_), self._last_layer(X.shape[1])
        )
        self.shrinkage_ = data.shrinkage(self.random_state) if self.shrinkage == "auto" else float(self.shrinkage)
        self.temperature_ = self._temperature(data)
        self.coef_, self.intercept_ = data.discriminant(self.shrinkage_)
        return self

    def decision_function(self, X: Any) -> Floats:  # noqa: N803
        """Return scores, (rows, classes); of two classes the second's less the first's, (rows,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each row, (rows,)."""
        scores = self._scores(X)
        return np.asarray(self.classes_[scores.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return calibrated probabilities, (rows, classes)."""
        return softmax(self._scores(X), self.temperature_)

    def predict_log_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def _scores(self, X: Any) -> Floats:  # noqa: N803
        check_is_fitted(self)
        _refuse_recordings(X)
        X = validate_data(self, X, dtype=np.float64, reset=False)  # noqa: N806
        return np.asarray(X @ self.coef_.T + self.intercept_)

    def _groups(self, groups: Sequence[Any] | None, n_rows: int) -> list[str]:
        names = np.arange(n_rows) if groups is None else column_or_1d(groups)
        if len(names) != n_rows:
            raise ValueError(f"{counted(len(names), 'group')} for {counted(n_rows, 'row')}. Name one for each.")
        return [str(name) for name in names]

    def _last_layer(self, width: int) -> LastLayer | None:
        if self.base is None:
            return None
        base = LastLayer.of(load_bundle(self.base))
        if base is None:
            raise BundleError(
                f"{self.base}: what it says of its emotions can't be read from its graph. Take base=None."
            )
        if base.weights.shape[1] != width:
            raise BundleError(
                f"{self.base}: its embeddings have {base.weights.shape[1]} values, these rows {width}. Take those of "
                f"EmotionEmbedder({str(self.base)!r}), or base=None."
            )
        return base

    def _temperature(self, data: LabelledEmbeddings) -> float:
        """Return the best temperature of scores about groups that were left out."""
        folds = grouped_folds(data.groups, data.targets, N_FOLDS, np.random.default_rng(self.random_state))
        scores = np.full((len(folds), data.n_classes), ABSENT)
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            if len(np.unique(data.targets[~held])) > 1:
                weights, bias = data.take(~held).discriminant(self.shrinkage_)
                scores[held] = data.embeddings[held] @ weights.T + bias
        return temperature_of(scores, data.targets)
