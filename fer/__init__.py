"""Facial-expression recognition on FER-2013: data, models, training, evaluation.

Usable without the dashboard; nothing in this package imports streamlit, and importing it imports
neither TensorFlow nor Keras (they cost seconds and 600 MB: import them inside functions).
"""

__version__ = "0.1.0"
