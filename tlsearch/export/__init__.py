"""Writes the model of a study into a folder that timm, ONNX Runtime and `tlsearch predict` load."""

from tlsearch.export.study import ExportedModel, export_study

__all__ = ["ExportedModel", "export_study"]
