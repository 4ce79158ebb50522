"""Demo faces: a drawn data set in FER-2013's shape, so that everything works before anything is downloaded.

`demo_dataset` imports it, `draw_faces` and `draw_outliers` draw single pictures for tests, `draw_photo` draws
large colour photos for the face detector, `contact_sheet` a picture of the whole.
"""

from fer.data.demo.build import NAME as NAME
from fer.data.demo.build import demo_dataset as demo_dataset
from fer.data.demo.build import demo_factors as demo_factors
from fer.data.demo.build import draw_demo as draw_demo
from fer.data.demo.faces import draw_face as draw_face
from fer.data.demo.faces import draw_faces as draw_faces
from fer.data.demo.outliers import OUTLIER_KINDS as OUTLIER_KINDS
from fer.data.demo.outliers import draw_outliers as draw_outliers
from fer.data.demo.photos import draw_photo as draw_photo
from fer.data.demo.sheet import contact_sheet as contact_sheet
