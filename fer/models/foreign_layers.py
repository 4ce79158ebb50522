"""The classes that a `.keras` file from elsewhere may name: those that only compute.

Left out are layers that run code from the file (`Lambda`), load other models (`TFSMLayer`, `JaxLayer`,
`TorchModuleWrapper`), or read a vocabulary from a file or hold one (`StringLookup`, `TextVectorization`, …).
"""

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
AveragePooling2D BatchNormalization Bidirectional CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose
Cropping1D Cropping2D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Flatten GRU
GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D
GlobalMaxPooling2D GroupNormalization GroupQueryAttention Identity InputLayer LSTM LayerNormalization
LeakyReLU MaxPooling1D MaxPooling2D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
RMSNormalization RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation RandomTranslation
RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN Softmax
SpatialDropout1D SpatialDropout2D SpectralNormalization Subtract TimeDistributed UnitNormalization
UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D
"""
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform
Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""
_OPERATIONS = """
Absolute Add Clip Concatenate Divide Exp Log Matmul Max Maximum Mean Min Minimum Multiply Negative Power
Reshape Sqrt Square Squeeze Subtract Sum Transpose TrueDivide Tanh ExpandDims GetItem Var Std
"""
_NN = "Relu Relu6 Sigmoid Silu Gelu Softmax HardSigmoid HardSwish Elu Selu LeakyRelu Softplus Swish"

CLASSES: frozenset[tuple[str, str]] = frozenset(
    [
        *(("keras.layers", name) for name in _LAYERS.split()),
        *(("keras.initializers", name) for name in _INITIALIZERS.split()),
        *(("keras.regularizers", name) for name in ("L1", "L2", "L1L2", "OrthogonalRegularizer")),
        *(("keras.constraints", name) for name in ("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm")),
        *(("keras.src.ops.numpy", name) for name in _OPERATIONS.split()),
        *(("keras.src.ops.nn", name) for name in _NN.split()),
        *((module, "DTypePolicy") for module in ("keras", "keras.dtype_policies")),
        *((f"keras{part}", "Functional") for part in ("", ".models", ".src.models.functional")),
        *((f"keras{part}", "Model") for part in ("", ".models")),
        *((f"keras{part}", "Sequential") for part in ("", ".models", ".src.models.sequential")),
    ]
)
"""(module, class) pairs."""

OURS: frozenset[str] = frozenset({"fer>PositionEmbedding", "fer>ClassToken", "fer>Resize"})
"""Registered names of `fer.models.layers`."""

MARKS: frozenset[str] = frozenset({"__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__"})
"""How Keras writes what JSON has no word for; `__lambda__`, `__numpy__` and `__typespec__` are left out."""

_ACTIVATIONS = """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign swish tanh
"""
ACTIVATIONS: frozenset[str] = frozenset(_ACTIVATIONS.split())
"""Functions that may be named outside of an `activation` text."""
