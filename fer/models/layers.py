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
