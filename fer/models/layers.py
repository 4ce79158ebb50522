"""The few layers Keras does not have; registered, so that saved files name them and load in safe mode."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="fer")
class PositionEmbedding(layers.Layer):
    """Add one learned vector to each token (Vaswani et al. 2017; learned as in ViT, Dosovitskiy 2021).

    (N, tokens, width) → the same shape; tokens × width parameters.
    """

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=input_shape[1:],
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="embedding",
        )

    def call(self, tokens):
        return tokens + ops.cast(self.embedding, tokens.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="fer")
class ClassToken(layers.Layer):
    """Prepend one learned token, whose output the head reads (Devlin et al. 2019; ViT).

    (N, tokens, width) → (N, 1 + tokens, width); width parameters.
    """

    def build(self, input_shape):
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="token",
        )

    def call(self, tokens):
        shape = (ops.shape(tokens)[0], 1, tokens.shape[-1])
        token = ops.broadcast_to(ops.cast(self.token, tokens.dtype), shape)
        return ops.concatenate([token, tokens], axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] + 1, input_shape[2])


@keras.saving.register_keras_serializable(package="fer")
class Resize(layers.Layer):
    """Resize images bilinearly: (N, h, w, c) → (N, size, size, c). No parameters.

    Not `keras.layers.Resizing`: it is called with training=True unless told otherwise, and in a functional
    model that reaches the layers after it, so batch normalisation would train during inference (Keras 3.15).
    """

    def __init__(self, size: int, **settings):
        super().__init__(**settings)
        self.size = size

    def call(self, images):
        return ops.image.resize(images, (self.size, self.size), interpolation="bilinear")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.size, self.size, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "size": self.size}
