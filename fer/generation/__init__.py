"""Generated faces: a denoising diffusion model (study A's appendix), its samples and what they are worth.

`schedule` the noise, `network` the U-Net, `training` the run, `sampling` DDPM and DDIM, `quality` how good
the samples are, `dataset` accepted samples as extra training images. Keras is imported only when something
is computed.
"""
