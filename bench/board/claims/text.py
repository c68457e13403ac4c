"""What `leaderboard/claims.md` says before its numbers."""

from __future__ import annotations

TITLE = "# What controlled studies say of the paper's claims\n"
HOW = """\
The claims are those of [Caro et al. 2024](https://doi.org/10.3389/fncom.2024.1387077), in our
words. A study (`registry/studies/`) states its cells, contrasts and claims before its own cells
are measured, but for the deviations that are listed under it, with what was known before.
`bench study report` makes this page from its blocks, whatever of it has run. Nothing is written by
hand.

**A comparison** is left minus right of mean RFC, the radial frequency centroid of the minimal L2
perturbation (1 = Nyquist), on the images that all nets of both sides keep under all seeds, seeds
paired by number. It is made in several ways, since neither an equal rate nor an equal number of
epochs is a neutral control: at the end of training; at equal epochs (the mean over the
checkpoints); at equal training loss; at equal test accuracy (the lowest loss, or highest
accuracy, that all nets of the comparison reach after their first checkpoint, interpolated within
each seed).

In a table, *n* counts those images (of planted data, where every seed has its own: the smallest
seed's), *SD over seeds* is that of d below, *Accuracy* the mean test accuracy after the last epoch,
left / right. White noise has an RFC of .767; the largest that there is is the square root of 2.

**The interval** is mean +- sqrt(z^2 Vimg + t^2 var(d) / S): d is the difference of one seed, S
the number of seeds, Vimg the variance of the mean over images; z and t (S - 1 degrees of freedom)
at an error of {error:.4f} each, 1 - .95^(1 / {claims}) for {claims} claims. The wider one,
together, holds for all comparisons that decide the claim at once as well. Fewer than three seeds
have no interval. The error is that of seeds whose differences are normal, which so few can't show.

**The verdict** follows from the intervals by one rule:

- *supported*: the interval of every planned comparison that can be made lies wholly on the claimed
  side of 0, and none wholly within the smallest effect of interest, +- {smallest:g} (an effect may
  still be below it);
- *negligible*: every one lies wholly within the smallest effect, on whichever side;
- *contradicted*: every one lies on the other side of 0, or within the smallest effect without being
  surely on the claimed side, and not all within;
- *depends*: by the wider intervals at least one agrees, and another, that lies apart from it,
  opposes or is surely below the smallest effect;
- *undecided*: all else. The page says what is missing. What has not run is undecided. Where more
  than half of the planned comparisons, or all of one way of comparing, can't be made (nets that
  diverged or are near chance, losses that do not meet), there is none of the first three verdicts.

A claim of equality agrees where the whole interval lies within its margin, and is opposed where
it lies outside. With this rule all verdicts of the page hold together in 95 % of studies
(`tests/test_verdicts.py` simulates it), read once, when the study is whole. RFC says where a net is
attackable, not how easily.
"""
PEEKING = """\
**These verdicts are provisional.** {counts}. The page is made anew as training runs
come in, and the 95 % hold for one look at the whole study, not for the first look at which a
verdict shows: looking often gives a chance result more chances. A verdict marked *provisional*
may change; those who quote it should say how much was measured. Seeds were added to the plan after
a look at three, for all nets of a group at once: the 95 % ignore that look.
"""
RUNS = """\
Runs: training runs that are measured, of those that decide the claim; a claim about submitted
models has none of its own.
"""
