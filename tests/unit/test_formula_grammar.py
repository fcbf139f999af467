"""What a formula says: names of terms, groups, responses; and every refusal, with its caret."""

import pytest

from hiermod.errors import FormulaError
from hiermod.formula import FUNCTIONS, parse

# text, common terms, intercept
COMMON = [
    ("y ~ 1", [], True),
    ("y ~ x", ["x"], True),
    ("y ~ 0 + x", ["x"], False),
    ("y ~ x - 1", ["x"], False),
    ("y ~ -1 + x", ["x"], False),
    ("y ~ x + 0", ["x"], False),
    ("y ~ 0 + x + 1", ["x"], True),
    ("y ~ x + x", ["x"], True),
    ("y ~ a:b", ["a:b"], True),
    ("y ~ a:b + b:a", ["a:b"], True),
    ("y ~ a*b", ["a", "b", "a:b"], True),
    ("y ~ a*b*c", ["a", "b", "a:b", "c", "a:c", "b:c", "a:b:c"], True),
    ("y ~ a/b", ["a", "a:b"], True),
    ("y ~ (a + b)/c", ["a", "b", "a:b:c"], True),
    ("y ~ a/(b + c)", ["a", "a:b", "a:c"], True),
    ("y ~ (a + b):(c + d)", ["a:c", "a:d", "b:c", "b:d"], True),
    ("y ~ (a + b)*c", ["a", "b", "c", "a:c", "b:c"], True),
    ("y ~ (a + b + c)**2", ["a", "b", "c", "a:b", "a:c", "b:c"], True),
    ("y ~ (a + b + c)**3", ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"], True),
    ("y ~ a*b - a:b", ["a", "b"], True),
    ("y ~ a*b - (a + b)", ["a:b"], True),
    ("y ~ (a - 1)", ["a"], False),
    ("y ~ a:a", ["a"], True),
    ("y ~ a*a", ["a"], True),
    ("y ~ log(x) + poly( x,2 )", ["log(x)", "poly(x, 2)"], True),
    ("y ~ log(x):f", ["log(x):f"], True),
    ("y ~ bs(x, df = 5)", ["bs(x, df=5)"], True),
    ("y ~ bs(x, knots=[-1, 2.5])", ["bs(x, knots=[-1, 2.5])"], True),
    ('y ~ C(g, Treatment("a"))', ['C(g, Treatment("a"))'], True),
    ("y ~ C(g, Sum)", ["C(g, Sum)"], True),
    ("y ~ I((x + z)**2/3) + {x-z}", ["I((x + z) ** 2 / 3)", "I(x - z)"], True),
    ("y ~ I(x >= 1e-3)", ["I(x >= 1e-3)"], True),
    ("y ~ log(exp(-x) + 1)", ["log(exp(-x) + 1)"], True),
    ("y ~ `my column` + log(`a b`)", ["my column", "log(a b)"], True),
    ("y ~ kcal.per.g + größe + x_1", ["kcal.per.g", "größe", "x_1"], True),
    ("y ~ index(f) + index(f):x", ["index(f)", "index(f):x"], True),
    ("y ~\n  a\n  + b", ["a", "b"], True),
]


@pytest.mark.parametrize(("text", "names", "intercept"), COMMON)
def test_common_terms(text, names, intercept):
    formula = parse(text)
    assert [term.name for term in formula.common] == names
    assert formula.intercept is intercept
    assert formula.groups == ()


# group term, [(factor, effects, correlated)]
GROUPS = [
    ("(1|g)", [("g", ["1"], True)]),
    ("(x|g)", [("g", ["1", "x"], True)]),
    ("(1 + x | g)", [("g", ["1", "x"], True)]),
    ("(1 + x || g)", [("g", ["1", "x"], False)]),
    ("(x||g)", [("g", ["1", "x"], False)]),
    ("(0 + f | g)", [("g", ["f"], True)]),
    ("(x - 1 | g)", [("g", ["x"], True)]),
    ("(1 | g/h)", [("g", ["1"], True), ("g:h", ["1"], True)]),
    ("(x || g/h)", [("g", ["1", "x"], False), ("g:h", ["1", "x"], False)]),
    ("(1 | g/h/k)", [("g", ["1"], True), ("g:h", ["1"], True), ("g:h:k", ["1"], True)]),
    ("(1 | g:h)", [("g:h", ["1"], True)]),
    ("(1 | (g))", [("g", ["1"], True)]),
    ("((1 | g))", [("g", ["1"], True)]),
    ("(1|g) + (1|h)", [("g", ["1"], True), ("h", ["1"], True)]),
    ("(1|g) + (0 + x|g)", [("g", ["1"], True), ("g", ["x"], True)]),
    ("(a*b | g)", [("g", ["1", "a", "b", "a:b"], True)]),
    ("(log(x) | `the group`)", [("the group", ["1", "log(x)"], True)]),
]


@pytest.mark.parametrize(("text", "groups"), GROUPS)
def test_group_terms(text, groups):
    for formula in (parse(f"y ~ {text}"), parse(f"y ~ z + {text} + w")):
        found = [(group.name, group.effect_names, group.correlated) for group in formula.groups]
        assert found == groups


# left-hand side, name, trials, weights
RESPONSES = [
    ("y", "y", None, None),
    ("(y)", "y", None, None),
    ("`the y`", "the y", None, None),
    ("log(y)", "log(y)", None, None),
    ("scale(y)", "scale(y)", None, None),
    ("I(y/n)", "I(y / n)", None, None),
    ("prop(y, n)", "y", "n", None),
    ("p(y, n)", "y", "n", None),
    ("proportion(y, 10)", "y", "10", None),
    ("weighted(y, w)", "y", None, "w"),
    ("weighted(prop(y, n), w)", "y", "n", "w"),
    ("y | trials(n)", "y", "n", None),
    ("y | trials(10)", "y", "10", None),
    ("y | weights(w)", "y", None, "w"),
    ("y | trials(n) + weights(w)", "y", "n", "w"),
    ("y | weights(1/s**2) + trials(n)", "y", "n", "1 / s ** 2"),
    ("prop(y, n) | weights(w)", "y", "n", "w"),
]


@pytest.mark.parametrize(("text", "name", "trials", "weights"), RESPONSES)
def test_responses(text, name, trials, weights):
    response = parse(f"{text} ~ x").response
    assert response.name == name
    assert (response.trials and response.trials.text) == trials
    assert (response.weights and response.weights.text) == weights


# left-hand side, fields other than the value
DECORATIONS = [
    ("se(y, s)", {"se": "s"}),
    ("y | se(s)", {"se": "s"}),
    ("y | se(s, TRUE)", {"se": "s", "keeps_sigma": True}),
    ("se(y, s, sigma=True)", {"se": "s", "keeps_sigma": True}),
    ("y | se(s, sigma=FALSE)", {"se": "s"}),
    ("censored(y, c)", {"status": "c"}),
    ("y | cens(1 - seen)", {"status": "1 - seen"}),
    ("censored(y, c, b)", {"status": "c", "y2": "b"}),
    ("y | cens(c, y2=b)", {"status": "c", "y2": "b"}),
    ("truncated(y, 0)", {"lower": "0"}),
    ("truncated(y, None, b)", {"upper": "b"}),
    ("truncated(y, lb=-1, ub=b)", {"lower": "-1", "upper": "b"}),
    ("y | trunc(ub=9) + weights(w) + cens(c)", {"upper": "9", "weights": "w", "status": "c"}),
    ("weighted(censored(y, c), w)", {"weights": "w", "status": "c"}),
]


@pytest.mark.parametrize(("text", "fields"), DECORATIONS)
def test_decorations(text, fields):
    response = vars(parse(f"{text} ~ x").response)
    found = {name: getattr(part, "text", part) for name, part in response.items() if part}
    assert found == {"value": "y", **fields}


def test_offsets_and_columns():
    formula = parse("prop(s, n) ~ a*log(b) + offset(log(e)) + offset(2) + (c | g/h)")
    assert [offset.text for offset in formula.offsets] == ["log(e)", "2"]
    assert formula.columns == ("s", "n", "a", "b", "c", "g", "h", "e")
    assert [call.function for call in formula.calls()] == ["log", "log", "log"]
    assert str(formula) == formula.text


def test_places_point_into_the_text():
    formula = parse("y ~ x + log(z) + (1 + w | group)")
    for name in formula.predictor_names():
        assert formula.text[name.start : name.end] == name.name
    (group,) = formula.groups
    assert formula.text[group.start : group.end] == "(1 + w | group)"


# formula, what the carets stand under, part of the message, part of the hint
REFUSED = [
    ("y ~ x^2", "^", "'^' is not supported", "**"),
    ("y ~ x %in% z", "%in%", "'%in%' is not supported", "':'"),
    ("y ~ x %% z", "%", "'%' is not supported", "pandas"),
    ("y ~ .", ".", "'.' for all columns", "predictors out"),
    ("y ~ . - x", ".", "'.' for all columns", "predictors out"),
    ("y ~ a & b", "&", "unexpected character '&'", "backticks"),
    ("y ~ `a", "`", "backtick is never closed", "another"),
    ("y ~ `` + a", "``", "backticks is empty", "between"),
    ('y ~ C(g, "a)', '"', "string is never closed", "Close"),
    ("y ~ C(g, 'a)", "'", "string is never closed", "Close"),
    ("y ~ (x", "(", "'(' is never closed", ""),
    ("y ~ log(x", "(", "'(' is never closed", ""),
    ("y ~ x)", ")", "')' closes nothing", ""),
    ("y ~ bs(x, knots=[1)", ")", "')' closes nothing", ""),
    ("y ~ x ~ z", "~ z", "has one '~'", "y ~ x"),
    ("~ x", "~", "response is missing", "y ~ x"),
    ("(y ~ x)", "~", "inside parentheses", "y ~ x"),
    ("y ~ x z", "z", "unexpected 'z'", "joined by operators"),
    ("y ~ a b", "b", "unexpected 'b'", "'+'"),
    ("y ~ x = 2", "=", "unexpected '='", ""),
    ("y ~ * x", "*", "missing before '*'", ""),
    ("y ~ poly(x, 2 3)", "3", "unexpected '3'", "comma"),
    ("y ~ poly(x, degree=2, 3)", "3", "follows a named one", ""),
    ("y ~ bs(x, knots=[a])", "a]", "only numbers and strings", ""),
    ("y ~ x[1]", "[", "square brackets", "pandas"),
    ("y[1] ~ x", "[", "square brackets", "pandas"),
    ("y ~ 0", "0", "no terms", "write 1"),
    ("y ~ 0 + offset(x)", "0 + offset(x)", "no terms", "write 1"),
    ("y ~ 2 + x", "2", "2 is not a term", "offset(2)"),
    ("y ~ 'a'", "'a'", "'a' is not a term", "column"),
    ("y ~ 2*x", "2", "cannot be part of an interaction", ""),
    ("y ~ (1 + a):b", "(1 + a)", "a number cannot be part", "outside"),
    ("y ~ (a - 1)*b", "(a - 1)", "a number cannot be part", "outside"),
    ("y ~ a - b", "b", "no term 'b' before this", "I(-x)"),
    ("y ~ -x", "x", "no term 'x' before this", "I(-x)"),
    ("y ~ x**2", "x**2", "'**' makes interactions", "I(x ** 2)"),
    ("y ~ (a + b)**c", "c", "positive whole number", "(a + b)**2"),
    ("y ~ (a + b)**0", "0", "positive whole number", "(a + b)**2"),
    ("y ~ x > 3", ">", "'>' is no formula operator", "I()"),
    ("y ~ log(a:b)", ":", "':' inside a function", "arithmetic"),
    ("y ~ log(1|g)", "|", "'|' inside a function", "arithmetic"),
    ("y ~ log(2)", "log(2)", "uses no column", "offset(2)"),
    ("y ~ y + x", "y + x", "response 'y' is also a predictor", "Remove"),
    ("y ~ (1 | y)", "y)", "response 'y' is also a predictor", "Remove"),
    ("log(y) ~ x + I(y/2)", "y/2", "response 'y' is also a predictor", "Remove"),
    # functions
    ("y ~ factor(x)", "factor", "factor() is R's", "C(x)"),
    ("y ~ as.factor(x)", "as.factor", "as.factor() is R's", "C(x)"),
    *[
        (f"y ~ {name}(x)", name, f"{name}() is not supported yet", "")
        for name in ("te", "t2", "gp", "hsgp", "me", "mi", "mm", "cs")
    ],
    ("y ~ np.log(x)", "np.log", "unknown function 'np.log'", "Write log(x)"),
    ("y ~ os.system(x)", "os.system", "unknown function 'os.system'", "functions="),
    ("y ~ lgo(x)", "lgo", "unknown function 'lgo'", "Did you mean 'log'?"),
    ("y ~ log(eval(x))", "eval", "unknown function 'eval'", "functions="),
    ("y ~ prop(x, n)", "prop", "belongs to the left", ""),
    ("y ~ offset(x):z", "offset(x)", "cannot be part of an interaction", "x + offset(z)"),
    ("y ~ z - offset(x)", "offset(x)", "cannot be removed", "offset(-x)"),
    ("y ~ log(offset(x))", "offset", "cannot be inside another function", ""),
    ("y ~ offset(x, z)", "offset(x, z)", "takes 1 argument", "offset(x)"),
    ("y ~ log(index(x))", "index", "cannot be inside another function", ""),
    ("y ~ index(log(x))", "log(x)", "index() takes a column", "column first"),
    # smooths
    ("y ~ s(x, z)", "s(x, z)", "not the arguments of s()", "Of two columns, s(x) + s(z)"),
    ("y ~ s()", "s()", "not the arguments of s()", "s(x, k=20)"),
    ("y ~ s(x, df=4)", "s(x, df=4)", "not the arguments of s()", "s(x, k=20)"),
    ("y ~ s(x, k=4, k=5)", "s(x, k=4, k=5)", "not the arguments of s()", "s(x, k=20)"),
    ("y ~ s(2)", "2", "2 uses no column", "s(x)"),
    ("y ~ s(x, by=2)", "2", "2 uses no column", "s(x, by=f)"),
    ("y ~ s(x, k=z)", "z", "k must be a number", ""),
    ("y ~ s(x, k=2)", "2", "k is 2", "3 or more"),
    ("y ~ s(x, k=2.5)", "2.5", "k is 2.5", "whole number"),
    ("y ~ s(x, bs='ps')", "'ps'", "no basis 'ps'", "bs='cr'"),
    ("y ~ s(x, bs='cc')", "s(x, bs='cc')", "belong together", "period=12"),
    ("y ~ s(x, period=3)", "s(x, period=3)", "belong together", "period=12"),
    ("y ~ s(x, bs='cc', period=0)", "0", "the period is 0", "above 0"),
    ("y ~ s(x, bs='cc', period=3, k=3)", "3", "k is 3", "4 or more"),
    ("y ~ f:s(x)", "s(x)", "cannot be part of an interaction", "s(x, by=f)"),
    ("y ~ f*(z + s(x))", "(z + s(x))", "smooth inside an interaction", "top level"),
    ("y ~ x - s(x)", "s(x)", "cannot be removed", "Leave it out"),
    ("y ~ log(s(x))", "s", "cannot be inside another function", ""),
    ("y ~ (1 + s(x) | g)", "1 + s(x)", "cannot vary", "columns"),
    ("y ~ s(lgo(x))", "lgo", "unknown function 'lgo'", "Did you mean 'log'?"),
    ("y ~ s(y)", "y)", "response 'y' is also a predictor", "Remove"),
    # group terms
    ("y ~ (1 + x | 2 | g)", "| g", "no group term", "(1 + x |id| g)"),
    ("y ~ (1 + x || id | g)", "| g", "no group term", "one '|'"),
    ("y ~ (1 |p| g) + (0 + x |p| g)", "(0 + x |p| g)", "occurs twice", "(1 + x |p| g)"),
    ("y ~ x*(1|g)", "(1|g)", "cannot be part of an interaction", "x + (1 | g)"),
    ("y ~ (1|g):x", "(1|g)", "cannot be part of an interaction", "x + (1 | g)"),
    ("y ~ (a + (1|g)):x", "(a + (1|g))", "inside an interaction", "top level"),
    ("y ~ 1|g", "|", "needs parentheses", "(1 | g)"),
    ("y ~ x + 1||g", "||", "needs parentheses", "(1 | g)"),
    ("y ~ x - (1|g)", "(1|g)", "cannot be removed", "Leave it out"),
    ("y ~ (1|g1+g2)", "+", "cannot join grouping factors", "(1 | g1) + (1 | g2)."),
    ("y ~ (1|g*h)", "*", "cannot join grouping factors", "(1 | g) + (1 | h) + (1 | g:h)."),
    ("y ~ (1|C(g))", "C(g)", "must be a column", "group by that column"),
    ("y ~ gr(g)", "gr", "gr() stands right of '|'", '(1 | gr(g, dist="student"))'),
    ("y ~ (1|gr(g, cov=A))", "gr(g, cov=A)", "not the arguments of gr()", "gr(g, by=x)"),
    ("y ~ (1|gr(g, h))", "gr(g, h)", "not the arguments of gr()", "gr(g, by=x)"),
    ("y ~ (1|gr(g, by=x, by=z))", "gr(g, by=x, by=z)", "not the arguments of gr()", "by=x"),
    ('y ~ (1|gr(g, dist="t"))', '"t"', 'dist is "t"', 'Write dist="student"'),
    ("y ~ (1|gr(g, dist=student))", "student", "dist is student", 'Write dist="student"'),
    ("y ~ (1|gr(g, zero_sum=1))", "1", "zero_sum is 1", "Write zero_sum=True"),
    ("y ~ (1|gr(g, by=C(x)))", "C(x)", "by= takes a column", "Make the column first"),
    (
        "y ~ (1|gr(g, by=x, zero_sum=True))",
        "gr(g, by=x, zero_sum=True)",
        "zero_sum=True goes with neither by= nor student",
        "Leave one of them out",
    ),
    ("y ~ (1|p|gr(g, by=x))", "gr(g, by=x)", "gr() does not go with an id", "Leave the id out"),
    ("y ~ (1|gr(log(g)))", "log(g)", "a grouping factor must be a column", "Make a column"),
    ("y ~ (1|mm(g, h))", "mm", "mm() is not supported yet", "(1 | g)"),
    ("y ~ (1|1)", "1)", "no grouping factor", "g, g:h or g/h"),
    ("y ~ (1|)", ")", "missing before ')'", ""),
    ("y ~ (|g)", "|", "missing before '|'", ""),
    ("y ~ (0|g)", "0", "no effects", "(1 | g)"),
    ("y ~ (index(f)|g)", "index(f)", "cannot vary", "(0 + f | g)"),
    ("y ~ (x + offset(z)|g)", "x + offset(z)", "cannot vary", "columns"),
    ("y ~ (1|g) + (x|g)", "(x|g)", "effect 1|g occurs twice", "(0 + x | g)"),
    ("y ~ (1|g/h) + (1|h:g)", "(1|h:g)", "effect 1|h:g occurs twice", "Keep one"),
    ("y ~ (x|g) + (0 + x|g)", "(0 + x|g)", "effect x|g occurs twice", "Keep one"),
    # responses
    ("y + z ~ x", "y + z", "cannot be a response", "I(...)"),
    ("1 ~ x", "1", "cannot be a response", "column"),
    ("prop(y) ~ x", "prop(y)", "not the arguments of prop()", "successes, trials"),
    ("prop(y, n=3) ~ x", "prop(y, n=3)", "not the arguments of prop()", "successes, trials"),
    ("prop(y, 2.5) ~ x", "2.5", "2.5 is no number of trials", "whole number"),
    ("y | trials(0) ~ x", "0", "0 is no number of trials", "whole number"),
    ("y | trials(n) + 2 ~ x", "2", "not a response addition", "trials(n)"),
    ("y | trials(n) + trials(m) ~ x", "trials(m)", "trials() is given twice", "Keep one"),
    ("prop(y, n) | trials(n) ~ x", "trials(n)", "trials() is given twice", "Keep one"),
    ("weighted(weighted(y, w), v) ~ x", "weighted(weighted(y, w), v)", "weights() is given", ""),
    ("se(y) ~ x", "se(y)", "not the arguments of se()", "y | se(s)"),
    ("y | se(s, sd=True) ~ x", "se(s, sd=True)", "not the arguments of se()", "sigma=True"),
    ("y | se(s, sigma=2) ~ x", "2", "sigma is 2", "sigma=True or sigma=False"),
    ("se(y, s) | se(s) ~ x", "se(s)", "se() is given twice", "Keep one"),
    ("y | cens() ~ x", "cens()", "not the arguments of cens()", "y | cens(status)"),
    ("truncated(y) ~ x", "truncated(y)", "not the arguments of truncated()", "one of them"),
    ("y | trunc(None, ub=None) ~ x", "trunc(None, ub=None)", "trunc() gives nothing", "lb=0"),
    ("truncated(y, 1, lb=2) ~ x", "truncated(y, 1, lb=2)", "not the arguments", "lb=0"),
    ("y ~ trunc(x)", "trunc", "trunc() belongs to the left", ""),
    ("y ~ censored(x)", "censored", "censored() belongs to the left", ""),
    ("cbind(a, b) ~ x", "cbind", "cbind() is R's", "prop(successes, trials)"),
    ("offset(y) ~ x", "offset", "cannot be inside", ""),
    ("log(2) ~ x", "log(2)", "the response uses no column", "log(y)"),
]


@pytest.mark.parametrize(("text", "under", "message", "hint"), REFUSED)
def test_refusals(text, under, message, hint):
    with pytest.raises(FormulaError) as caught:
        parse(text)
    first, shown, carets, *rest = str(caught.value).split("\n")
    assert message in first
    assert shown == "  " + text
    start = carets.index("^")
    assert shown[start:].startswith(under)
    if text.count(under) == 1 and " " not in under:
        assert len(carets.strip()) <= len(under)
    assert hint in " ".join(rest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y", "the formula has no '~'"),
        ("", "the formula has no '~'"),
        ("y = x", "the formula has no '~'"),
        ("y ~", "nothing follows '~'"),
        ("y ~   ", "nothing follows '~'"),
        ("y ~ x +", "something is missing here"),
        ("y ~ (x +) + z", "a term is missing before ')'"),
    ],
)
def test_what_is_missing(text, message):
    with pytest.raises(FormulaError, match=message.replace("(", r"\(").replace(")", r"\)")):
        parse(text)


def test_the_exact_look_of_an_error():
    with pytest.raises(FormulaError) as caught:
        parse("log_radon ~ 1 + floor + np.log(uranium)")
    assert str(caught.value) == (
        "unknown function 'np.log'.\n"
        "  log_radon ~ 1 + floor + np.log(uranium)\n"
        "                          ^^^^^^\n"
        "  Write log(x)."
    )


def test_functions_of_the_caller_are_allowed():
    assert parse("y ~ double(x)", functions=["double"]).common[0].name == "double(x)"


def test_every_function_of_the_table_parses():
    for name in FUNCTIONS:
        assert parse(f"y ~ {name}(x)").common[0].name == f"{name}(x)"
