"""A search over hyperparameters in which one candidate kills the process that it is fitted in.

scikit-learn runs on joblib, and joblib on loky; one line puts this package in loky's place. A score
by cross-validation then works as ever. A candidate that takes its worker down fails the search with an
error that names the cause, and the program goes on: the next search has its workers at once. Whoever
wants the other candidates' scores all the same fits each candidate in a process of its own: what kills
that one is an error like any other, and scikit-learn gives the candidate no score.

    python scikit_learn_search.py
"""

import os
import signal
import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import RandomizedSearchCV, cross_val_score
from sklearn.tree import DecisionTreeClassifier

import loky.joblib
from loky import get_reusable_executor
from loky.process_executor import TerminatedWorkerError

loky.joblib.install()

DEADLY_DEPTH = 3


class DeadlyTree(DecisionTreeClassifier):  # type: ignore[misc]
    """A tree that dies of one of its depths, as a process dies that takes more memory than there is."""

    def fit(self, X: Any, y: Any) -> "DeadlyTree":  # noqa: N803
        """Fit the tree, or kill this process."""
        if self.max_depth == DEADLY_DEPTH:
            os.kill(os.getpid(), signal.SIGKILL)
        super().fit(X, y)
        return self


class InOwnProcess(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Fits an estimator in a process that may die without taking anybody with it."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> "InOwnProcess":  # noqa: N803
        """Fit a clone; `TerminatedWorkerError` if that kills its process."""
        # Each worker of the search keeps one process for this, and gets another one after a death.
        executor = get_reusable_executor(max_workers=1)
        self.estimator_ = executor.submit(clone(self.estimator).fit, X, y).result()
        self.classes_ = self.estimator_.classes_
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        """What the fitted estimator predicts."""
        return self.estimator_.predict(X)


def search(estimator: Any, depths: dict[str, list[int]]) -> RandomizedSearchCV:
    """A search with two workers over all depths."""
    return RandomizedSearchCV(estimator, depths, n_iter=5, cv=2, n_jobs=2, random_state=0, error_score=np.nan)


def main() -> None:
    """Score, search and fail, search and keep what can be kept."""
    features, target = make_classification(n_samples=300, random_state=0)
    scores = cross_val_score(DecisionTreeClassifier(random_state=0), features, target, cv=4, n_jobs=2)
    print(f"cross_val_score: {len(scores)} scores, mean {scores.mean():.2f}")

    depths = [1, 2, DEADLY_DEPTH, 4, 5]
    try:
        search(DeadlyTree(random_state=0), {"max_depth": depths}).fit(features, target)
    except TerminatedWorkerError as error:
        print("search: failed:", str(error).splitlines()[0])

    guarded = search(InOwnProcess(DeadlyTree(random_state=0)), {"estimator__max_depth": depths})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.filterwarnings("ignore", "One or more of the test scores are non-finite")
        guarded.fit(features, target)
    for depth, score in zip(depths, scores_by_depth(guarded, depths), strict=True):
        print(f"depth {depth}: " + ("no score, it killed its process" if np.isnan(score) else f"{score:.2f}"))
    print("best depth:", guarded.best_params_["estimator__max_depth"])


def scores_by_depth(found: RandomizedSearchCV, depths: list[int]) -> list[float]:
    """The mean score of each depth."""
    tried = [candidate["estimator__max_depth"] for candidate in found.cv_results_["params"]]
    return [float(found.cv_results_["mean_test_score"][tried.index(depth)]) for depth in depths]


if __name__ == "__main__":
    main()
