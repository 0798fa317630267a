"""Which names of columns mean what: the one vocabulary of tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reslab.data.dataset import SplitName
from reslab.data.sources.vocabulary import split_and_rest

# Names are compared as `plain` writes them: "Image ID", "image_id" and "imageId" are one name.
# Within a role, the earlier name is taken where several columns would do.
PATH = (
    *("path", "filepath", "filepaths", "imagepath", "imagepaths", "imgpath", "relativepath"),
    *("relpath", "relativeimpath", "fullpath", "filename", "filenames", "fname", "imagefilename"),
    *("imagefile", "imgfile", "file", "files", "imagename", "imgname", "image", "images", "img"),
    *("imageid", "imgid", "imageindex", "photo", "photoid", "photopath", "picture", "pic"),
    *("idcode", "id", "uri", "url", "imageurl"),
)
LABEL = (
    *("label", "labels", "class", "classes", "classname", "labelname", "category", "categoryname"),
    *("target", "breed", "species", "dx", "diagnosis", "variety", "cultivar", "groundtruth"),
    *("emotion", "tag", "classid", "classindex", "classlabel", "labelid", "labelindex", "labelidx"),
    *("categoryid", "targetname", "y"),
)
SPLIT = (
    *("split", "splits", "subset", "set", "partition", "phase", "usage", "dataset", "datasplit"),
    *("stage", "mode"),
)
# A column of yes and no: yes is this split.
SPLIT_FLAGS: dict[str, SplitName] = {
    **dict.fromkeys(("isvalid", "isval", "isvalidation", "val", "validation"), "val"),
    **dict.fromkeys(("istest", "istesting", "istestimage", "test"), "test"),
    **dict.fromkeys(("istrain", "istraining", "istrainingimage", "train", "training"), "train"),
}
# What its images have in common must not be torn apart, however few groups there are.
GROUP = (
    *("group", "groups", "groupid", "patient", "patientid", "patientnumber", "subject"),
    *("subjectid", "participant", "participantid", "individual", "individualid", "lesion"),
    *("lesionid", "person", "personid"),
)
# The same, where there are enough of them to be held out one by one.
LIKELY_GROUP = (
    *("session", "sessionid", "sequence", "sequenceid", "seqid", "video", "videoid", "clip"),
    *("clipid", "burst", "burstid", "site", "siteid", "location", "locationid", "camera"),
    *("cameraid", "caseid", "studyid", "studyinstanceuid", "slide", "slideid", "specimen"),
    *("specimenid",),
)
FOLDS = ("fold", "folds", "kfold", "foldid", "cvfold", "foldnumber")
# Numbers or text about an image, never taken for its class unasked.
MEASURES = frozenset(
    (
        "age",
        "price",
        "count",
        "score",
        "rating",
        "width",
        "height",
        "weight",
        "size",
        "year",
        "date",
        "time",
        "text",
        "caption",
        "description",
        "md5",
        "hash",
        "url",
        "filesize",
        "confidence",
    )
)
BOXES = frozenset(
    ("xmin", "ymin", "xmax", "ymax", "x1", "y1", "x2", "y2", "bbox", "bboxx1", "bboxy1", "roix1")
)
_YES = frozenset(("true", "1", "1.0", "yes", "t", "y"))
_NO = frozenset(("false", "0", "0.0", "no", "f", "n"))


def plain(name: str) -> str:
    """Return a column's name without case, spaces and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def truth(text: str) -> bool | None:
    """Read yes and no as people write them; None for anything else."""
    word = text.casefold()
    return True if word in _YES else False if word in _NO else None


def best(header: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the columns that have one of these names, in the order of the names."""
    there = [plain(name) for name in header]
    return [index for name in names for index, one in enumerate(there) if one == name]


def split_in_name(name: str) -> SplitName | None:
    """Find the split that a file or folder name speaks of: ``trainLabels.csv``, ``test1``."""
    found = split_and_rest(name)
    return found[0] if found else None
