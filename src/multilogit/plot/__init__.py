"""Pictures (extra ``plot``: matplotlib). Every function takes tables and returns a ``Figure``."""

from multilogit.plot.calibration import calibration as calibration
from multilogit.plot.caterpillar import caterpillar as caterpillar
from multilogit.plot.convergence import convergence as convergence
from multilogit.plot.effects import Effect as Effect
from multilogit.plot.effects import effects as effects
from multilogit.plot.forest import forest as forest
from multilogit.plot.residuals import quantile_residuals as quantile_residuals
from multilogit.plot.strength import strength_curve as strength_curve
from multilogit.plot.svg import as_svg as as_svg
from multilogit.plot.zeta import zeta as zeta
