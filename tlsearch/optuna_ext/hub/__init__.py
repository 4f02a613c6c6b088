"""Packages in the layout of OptunaHub's registry; each of them can be copied there alone."""
