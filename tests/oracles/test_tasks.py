import math
import pickle

import pytest

from molae import names
from molae.chem.guacamol import task
from molae.chem.guacamol_targets import MOLECULES
from molae.chem.molecules import read
from molae.chem.properties import Sheet
from molae.chem.requirements import parse_requirements
from molae.oracles.formula import Formula
from molae.oracles.tasks import TaskOracle, task_terms

CELECOXIB, RANOLAZINE = MOLECULES["celecoxib"], MOLECULES["ranolazine"]


@pytest.mark.parametrize("name", names.TASKS)
def test_every_task_is_an_oracle_and_a_term(name):
    oracle = TaskOracle(name)
    answers = oracle.answer([CELECOXIB, "CCO"])
    assert oracle.name == name
    for smiles, answer in zip([CELECOXIB, "CCO"], answers, strict=True):
        sheet = Sheet(read(smiles))
        assert answer.error is None
        assert answer.score == task(name)(sheet) == task_terms()[name](sheet)
        assert tuple(answer.parts) == oracle.columns
        assert answer.parts == {part.name: part(sheet) for part in task(name).parts}


def test_rediscovery():
    found, other = TaskOracle("celecoxib_rediscovery").answer([CELECOXIB, RANOLAZINE])
    assert found.score == found.parts["similarity"] == 1
    assert 0 < other.score < 0.5


def test_tasks_in_a_formula():
    formula = Formula("1 - celecoxib_rediscovery*ranolazine_mpo")
    (answer,) = formula.answer([RANOLAZINE])
    sheet = Sheet(read(RANOLAZINE))
    one, two = task("celecoxib_rediscovery")(sheet), task("ranolazine_mpo")(sheet)
    assert answer.parts == {"celecoxib_rediscovery": one, "ranolazine_mpo": two}
    assert answer.score == pytest.approx(1 - one * two)


def test_what_is_no_molecule_has_no_score_but_all_columns():
    oracle = TaskOracle("median1")
    bad, good = oracle.answer(["C1CC", "CCO"])
    assert math.isnan(bad.score)
    assert "syntax" in bad.error
    assert tuple(bad.parts) == oracle.columns
    assert all(math.isnan(value) for value in bad.parts.values())
    assert good.error is None
    assert oracle.answer([]) == []


def test_requirements():
    oracle = TaskOracle("ranolazine_mpo", parse_requirements(["mw<300", "logp>-1"]))
    big, small = oracle.answer([RANOLAZINE, "CCO"])
    assert oracle.columns[-2:] == ("required_mw", "required_logp")
    assert "mw<300" in big.error
    assert math.isnan(big.score)
    assert big.parts["required_mw"] == pytest.approx(427.5, abs=0.1)
    # The part of the task is what logP is worth, the requirement is about logP.
    assert small.parts["required_logp"] == Sheet(read("CCO"))["logp"] != small.parts["logp"]
    assert small.score == task("ranolazine_mpo")(Sheet(read("CCO")))


def test_keys_tell_oracles_apart():
    keys = {TaskOracle(name).key for name in names.TASKS}
    keys.add(TaskOracle("median1", parse_requirements(["mw<300"])).key)
    assert len(keys) == len(names.TASKS) + 1
    assert TaskOracle("median1").key == TaskOracle("median1").key


def test_can_be_sent_to_another_process():
    oracle = TaskOracle("scaffold_hop", parse_requirements(["mw<600"]))
    there = pickle.loads(pickle.dumps(oracle))
    assert there.answer([CELECOXIB]) == oracle.answer([CELECOXIB])
    assert there.key == oracle.key


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(ValueError, match="did you mean 'median1'"):
        TaskOracle("median_1")
