"""A logistic regression that scikit-learn 1.9.1 trained on its iris data set, as its numbers."""

import json

NAMES = ("setosa", "versicolor", "virginica")
WEIGHTS = [
    [-0.42, 0.967, -2.519, -1.085],
    [0.532, -0.315, -0.204, -0.943],
    [-0.112, -0.652, 2.723, 2.027],
]
INTERCEPTS = [9.842, 2.225, -12.066]


def answer(messages: list[dict[str, str]]) -> str:
    """Say which iris has these measures; the last message is a list of four numbers."""
    measures = json.loads(messages[-1]["content"])
    scores = [
        sum(weight * one for weight, one in zip(row, measures, strict=True)) + intercept
        for row, intercept in zip(WEIGHTS, INTERCEPTS, strict=True)
    ]
    return NAMES[scores.index(max(scores))]
