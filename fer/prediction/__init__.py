"""From a photo to seven probabilities for each face: decode, find, cut out, predict.

`Predictor` is the documented entry for other programs:

    from fer.prediction import Predictor, read_photo
    predictor = Predictor(["fer/prediction/starter"])
    for face in predictor.predict(read_photo("me.jpg")):
        print(face.emotion, face.confidence, face.box)

Importing this package imports neither TensorFlow nor Keras; making a `Predictor` does.
"""

from fer.prediction.batch import PhotoResult as PhotoResult
from fer.prediction.batch import predict_files as predict_files
from fer.prediction.batch import read_zip as read_zip
from fer.prediction.batch import table_rows as table_rows
from fer.prediction.batch import zip_photos as zip_photos
from fer.prediction.faces import Face as Face
from fer.prediction.faces import crop_face as crop_face
from fer.prediction.faces import face_from_box as face_from_box
from fer.prediction.faces import find_faces as find_faces
from fer.prediction.faces import place_heatmap as place_heatmap
from fer.prediction.photo import FORMAT_NAMES as FORMAT_NAMES
from fer.prediction.photo import SUFFIXES as SUFFIXES
from fer.prediction.photo import decode_photo as decode_photo
from fer.prediction.photo import read_photo as read_photo
from fer.prediction.predictor import NO_FACE as NO_FACE
from fer.prediction.predictor import FacePrediction as FacePrediction
from fer.prediction.predictor import Options as Options
from fer.prediction.predictor import Predictor as Predictor
from fer.prediction.predictor import describe as describe
