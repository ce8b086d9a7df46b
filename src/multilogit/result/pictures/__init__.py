"""``fit.plot``: the pictures of a fit, and the tables behind them."""
