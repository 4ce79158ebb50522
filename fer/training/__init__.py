"""Training: one frozen config (`config`), one seam (`fit.fit`), and the pieces it is made of."""
