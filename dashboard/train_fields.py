"""What the Train page asks about a training beside its phases, weights and forerunners: one line a value."""

from dashboard.fields import Field
from fer.data.splits import SCHEMES
from fer.training.config import CHECKPOINTS, LOSSES, PRECISIONS
from fer.training.phase import MONITORS

_MONITOR_NAMES = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
    "val_macro_f1": "validation macro F1",
    "last": "last epoch, whatever it is",
}
_SCHEME_NAMES = {
    "release": "as released; validation from train if missing",
    "kfold": "stratified k-fold",
    "64/16/20": "64/16/20 of train (study C)",
}
_LOSS_NAMES = {"crossentropy": "cross-entropy", "focal": "focal loss"}
_PRECISION_NAMES = {"auto": "auto: bfloat16 where it is native"}

_FIELDS = (
    Field("batch_size", "Batch size (images)", low=1, high=4096),
    # Images and split
    Field(
        "split.scheme",
        "Split",
        choices={scheme: _SCHEME_NAMES.get(scheme, scheme) for scheme in SCHEMES},
    ),
    Field(
        "split.validation_fraction",
        "Validation share (%)",
        "Of each class of train; it chooses the checkpoint and is never trained on.",
        percent=True,
        low=5,
        high=50,
    ),
    Field("split.folds", "Folds", low=2, high=20),
    Field("split.fold", "Fold that validates", "Counted from 0.", low=0, high=19),
    Field("split.seed", "Draw of the split", "Another number divides the images anew.", high=2**32 - 1),
    Field(
        "split.group_duplicates",
        "Copies of a face stay in one split",
        "Off, copies of training faces may validate, and the validation figure flatters the network.",
    ),
    Field(
        "split.per_class",
        "Training images of a class, at most",
        "Study D: 750 and 2,500.",
        low=1,
        empty="all",
    ),
    Field("classes", "Classes", "Study D left out disgust."),
    Field(
        "limit",
        "Images to train on, at most",
        "As many to validate on at most; classes in proportion, for a quick run. The test images stay whole.",
        low=1,
        high=10_000_000,
        empty="all",
    ),
    Field(
        "generated_per_class",
        "Generated faces of a class, at most",
        low=1,
        empty="all",
    ),
    Field(
        "preprocessing",
        "Pixels",
        "How an image enters the network.",
        choices={"scale": "divided by 255", "standardise": "then each image to mean 0, variance 1"},
    ),
    # Loss and rare classes
    Field("loss", "Loss", choices={name: _LOSS_NAMES.get(name, name) for name in LOSSES}),
    Field(
        "focal_gamma",
        "Focal gamma",
        "How much an image counts less the better it is known (Lin et al. 2017); 0 is cross-entropy.",
        low=0.0,
        high=10.0,
        step=0.5,
    ),
    Field(
        "label_smoothing",
        "Label smoothing",
        "Share of each target that is spread over all classes (Szegedy et al. 2016).",
        low=0.0,
        high=0.9,
        step=0.05,
    ),
    Field(
        "hard_samples",
        "Retrain on mistakes (epochs)",
        "After the last phase, on the training images the network gets wrong; 0: off. Study C did this.",
        high=1000,
    ),
    # Mixing
    Field(
        "mixup",
        "MixUp",
        "Blends pairs of images and their labels (Zhang et al. 2018): α of the Beta distribution, 0: off.",
        low=0.0,
        high=10.0,
        step=0.1,
    ),
    Field(
        "cutmix",
        "CutMix",
        "Puts a piece of one image into another (Yun et al. 2019): α of the Beta distribution, 0: off. "
        "With MixUp too, each batch takes one of them.",
        low=0.0,
        high=10.0,
        step=0.1,
    ),
    # Phases
    Field(
        "ema",
        "Weight averaging (EMA)",
        "Validates and keeps a running mean of the weights: decay a step, 0.5 to 0.99999, 0: off.",
        low=0.0,
        high=0.99999,
        step=0.001,
    ),
    # Stopping
    Field(
        "early_stopping_patience",
        "Patience (epochs)",
        "So many epochs without improvement end a phase (early stopping); 0: never.",
        high=1000,
    ),
    Field(
        "early_stopping_monitor",
        "Stop by",
        choices={name: _MONITOR_NAMES.get(name, name) for name in MONITORS},
    ),
    Field(
        "checkpoint_monitor",
        "Keep the epoch with the best",
        "Which epoch's network is kept and tested.",
        choices={name: _MONITOR_NAMES.get(name, name) for name in CHECKPOINTS},
    ),
    Field(
        "settle",
        "Settle BatchNorm at the end",
        "The best network's BatchNorm gets the means and variances of the training images as they are, and "
        "keeps them if that validates better.",
    ),
    # Machine
    Field(
        "precision",
        "Precision",
        "auto: bfloat16 where the processor or GPU computes it natively. The run says what it used.",
        choices={name: _PRECISION_NAMES.get(name, name) for name in PRECISIONS},
    ),
    Field(
        "gradient_accumulation",
        "Batches an update",
        "Gradients of this many batches are averaged into one update (gradient accumulation).",
        low=1,
        high=1024,
    ),
    Field("jit", "Compile with XLA", "Can be faster on a GPU; the first step takes longer."),
    Field(
        "deterministic",
        "Deterministic",
        "The same settings give the same history (float32 on the processor); slower.",
    ),
    Field(
        "seed",
        "Random seed",
        "Of weights, order, augmentation, dropout and mixing; of several runs the first one's.",
        high=2**31 - 1,
    ),
    # Teachers
    Field(
        "distillation",
        "Teachers' share of the label (%)",
        percent=True,
        high=100,
    ),
)
FIELDS: dict[str, Field] = {field.key: field for field in _FIELDS}
