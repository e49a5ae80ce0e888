"""Settings of the documentation site; `.ci/docs` builds it."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the gallery's models are small

import lightning_cnnviz

# ---- the project

project = "lightning-cnnviz"
author = "the lightning-cnnviz developers"
copyright = author
version = release = lightning_cnnviz.__version__

# ---- sources

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "reference",
    "runs",
]
root_doc = "index"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery", "auto_gallery/*.ipynb", "**/.ipynb_checkpoints"]
default_role = "literal"  # docstrings write `names` as Markdown does
nb_execution_mode = "off"  # the notebook is kept with its output, and a test runs it
nb_mime_priority_overrides = [("linkcheck", "image/png", 0)]
myst_enable_extensions = ["colon_fence", "deflist", "html_image"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# ---- the reference

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = True
napoleon_use_rtype = False

nitpicky = True
nitpick_ignore = [
    ("py:class", name)
    for name in (
        # the standard library's
        "collections.abc.Callable",
        "collections.abc.Iterable",
        "collections.abc.Mapping",
        "collections.abc.Sequence",
        "os.PathLike",
        "pathlib.Path",
        # those of packages that this one builds on
        "ArrayLike",  # an alias of types that are imported for type checking only, as is
        "Figure",
        "matplotlib.figure.Figure",
        "numpy.bool",
        "numpy.dtype",
        "numpy.float32",
        "numpy.generic",
        "numpy.int64",
        "numpy.ndarray",
        "pytorch_lightning.Callback",
        "pytorch_lightning.LightningModule",
        "pytorch_lightning.Trainer",
        "torch.Tensor",
        "torch.nn.Conv1d",
        "torch.nn.Conv2d",
        "torch.nn.Conv3d",
        "torch.nn.Module",
        "torch.nn.Parameter",
    )
]
if os.environ.get("CNNVIZ_DOCS_INTERSPHINX"):  # links into the documentation of other packages; needs a network
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "lightning": ("https://lightning.ai/docs/pytorch/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

# ---- the gallery

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": "FileNameSortKey",
    "ignore_pattern": r"digits_cnn\.py",
    "copyfile_regex": r"digits_cnn\.py",
    "image_scrapers": ("pictures.scraper",),
    "capture_repr": ("_repr_html_",),
    "reset_modules": (),
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 10_000,
    "thumbnail_size": (400, 280),
    "write_computation_times": False,
}

# ---- the pages

html_theme = "pydata_sphinx_theme"
html_title = "lightning-cnnviz"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "lightning-cnnviz"},
    "header_links_before_dropdown": 5,
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {
    page: []
    for page in (
        "index",
        "start",
        "report",
        "add_a_visual",
        "systems",
        "inside_a_cnn",
        "cost",
        "beside",
        "compatibility",
        "changelog",
    )
}
html_context = {"default_mode": "auto"}
