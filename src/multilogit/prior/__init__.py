"""Priors: log densities of ψ = (β, θ), each an ``evaluate`` that adds to any likelihood."""
