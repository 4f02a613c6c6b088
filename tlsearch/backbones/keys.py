"""Names of tensors in a state dict."""


def within(key: str, modules: tuple[str, ...]) -> bool:
    """Whether a state-dict key belongs to one of these modules."""
    return any(key == module or key.startswith(f"{module}.") for module in modules)
