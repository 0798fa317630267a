"""Layouts that people bring: what is certain is read, what is not is refused with what says it."""

import re
from pathlib import Path

import pytest
from trees import grow

from reslab.data.collect import DataOptions, Finding
from reslab.data.dataset import FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.data.sources.tree import split_word
from reslab.errors import DataError

DOCS = Path(__file__).parents[2] / "docs" / "data.md"

# The name in docs/data.md -> what is in the folder, the classes, the images of each split (or all).
CONVENTIONS = {
    "Kaggle dogs-vs-cats": (
        """train/{cat,dog}.{0-3}.jpg
        test1/{1-5}.jpg""",
        "cat dog",
        {"train": 8},
    ),
    "Kaggle cats and dogs, `training_set`": (
        """training_set/training_set/{cats,dogs}/{1-3}.jpg
        test_set/test_set/{cats,dogs}/{4-5}.jpg""",
        "cats dogs",
        {"train": 6, "test": 4},
    ),
    "Microsoft cats-vs-dogs": (
        """PetImages/{Cat,Dog}/{0-2}.jpg
        readme[1].txt: hello""",
        "Cat Dog",
        6,
    ),
    "Intel image classification": (
        """seg_train/seg_train/{forest,sea}/{1-3}.jpg
        seg_test/seg_test/{forest,sea}/{4-5}.jpg
        seg_pred/seg_pred/{6-9}.jpg""",
        "forest sea",
        {"train": 6, "test": 4},
    ),
    "Roboflow, folders": (
        """{train,valid,test}/{a,b}/x_{1-2}_jpg.rf.0f.jpg
        README.roboflow.txt: hello""",
        "a b",
        {"train": 4, "val": 4, "test": 4},
    ),
    "Roboflow, YOLO": (
        """{train,valid,test}/images/x{1-3}.jpg
        {train,valid,test}/labels/x{1-3}.txt: 0 0.5 0.5 1 1
        data.yaml: names""",
        "",
        r"are splits, not classes: .*x1\.txt, .*boxes for detection",
    ),
    "Oxford-IIIT Pets": (
        """images/{Abyssinian,american_bulldog}_{1-3}.jpg
        annotations/list.txt: Abyssinian_1 1 1 1
        annotations/trimaps/{Abyssinian,american_bulldog}_{1-3}.png""",
        "Abyssinian american_bulldog",
        6,
    ),
    "COCO folders": (
        """{train2017,val2017}/00000000{1-3}.jpg
        annotations/instances.json: {}""",
        "",
        "train2017 and val2017 are splits, not classes",
    ),
    "Tiny-ImageNet": (
        """train/{n01,n02}/images/x_{0-2}.JPEG
        train/{n01,n02}/boxes.txt: x_0.JPEG 0 0 1 1
        val/images/val_{0-2}.JPEG
        val/val_annotations.txt: val_0.JPEG\tn02\t0\t0|val_1.JPEG\tn01\t0\t0|val_2.JPEG\tn02\t0\t0
        test/images/test_{0-3}.JPEG
        wnids.txt: n01|n02""",
        "n01 n02",
        {"train": 6, "val": 3},
    ),
    "ImageNet": (
        """ILSVRC/Data/CLS-LOC/train/{n01,n02}/x_{0-2}.JPEG
        ILSVRC/Data/CLS-LOC/{val,test}/ILSVRC2012_val_{1-4}.JPEG
        ILSVRC/Annotations/CLS-LOC/train/n01/x_0.xml: x""",
        "n01 n02",
        {"train": 6},
    ),
    "CUB-200-2011": (
        """CUB_200_2011/images/{001.A,002.B}/x_{1-3}.jpg
        CUB_200_2011/images.txt: 1 001.A/x_1.jpg|2 001.A/x_2.jpg|3 001.A/x_3.jpg|4 002.B/x_1.jpg|5 002.B/x_2.jpg|6 002.B/x_3.jpg
        CUB_200_2011/train_test_split.txt: 1 0|2 1|3 1|4 1|5 1|6 1
        CUB_200_2011/{classes,image_class_labels}.txt: x
        CUB_200_2011/parts/parts.txt: x
        attributes.txt: x""",  # noqa: E501
        "001.A 002.B",
        {"train": 5, "test": 1},
    ),
    "Food-101": (
        """food-101/images/{pie,ribs}/{1-3}.jpg
        food-101/meta/train.txt: pie/1|pie/3|ribs/1|ribs/2
        food-101/meta/test.txt: pie/2|ribs/3
        food-101/license_agreement.txt: x""",
        "pie ribs",
        {"train": 4, "test": 2},
    ),
    "Stanford Dogs": (
        """Images/{n02-Chihuahua,n03-Pug}/x_{1-3}.jpg
        Annotation/{n02-Chihuahua,n03-Pug}/x_1: xml
        lists/train_list.mat: x""",
        "n02-Chihuahua n03-Pug",
        6,
    ),
    "Caltech-101": (
        """caltech-101/101_ObjectCategories/{ant,bass}/image_000{1-3}.jpg
        caltech-101/Annotations/{ant,bass}/annotation_1.mat: x""",
        "ant bass",
        6,
    ),
    "Keras flower_photos": (
        """flower_photos/{daisy,roses}/{1-3}.jpg
        flower_photos/LICENSE.txt: x""",
        "daisy roses",
        6,
    ),
    "GTSRB": (
        """GTSRB/Final_Training/Images/0000{0-1}/0_{1-3}.ppm
        GTSRB/Final_Test/Images/0000{1-4}.ppm""",
        "00000 00001",
        {"train": 6},
    ),
    "ASL alphabet": (
        """asl_alphabet_train/asl_alphabet_train/{A,B}/{A,B}{1-2}.jpg
        asl_alphabet_test/asl_alphabet_test/{A,B}_test.jpg""",
        "A B",
        {"train": 8},
    ),
    "COVID-19 Radiography, BUSI": (
        """set/{COVID,Normal}/{images,masks}/x-{1-3}.png
        set/Viral/Viral ({1-2}).png
        set/Viral/Viral ({1-2})_mask.png""",
        "",
        "go one level deeper: give .*set",
    ),
    "MVTec AD": (
        """{bottle,cable}/train/good/{1-3}.png
        {bottle,cable}/test/{good,broken}/{1-2}.png
        {bottle,cable}/ground_truth/broken/{1-2}_mask.png""",
        "",
        "bottle holds splits .* each is a data set of its own: give one of them",
    ),
    "Carvana, segmentation": (
        """{images,masks}/{1-5}.png""",
        "",
        "images holds 5 images and no class folders",
    ),
    "HAM10000 without its table": (
        """HAM10000_images_part_{1-2}/ISIC_00{1-3}.jpg""",
        "",
        "called like pieces of one set.*list the labels in a CSV",
    ),
    "FER-2013": (
        """{Training,PublicTest,PrivateTest}/{happy,sad}/{1-3}.png""",
        "",
        "'PrivateTest' is most likely the test split and 'PublicTest' is most likely the val split",
    ),
    "CycleGAN": (
        """{trainA,trainB,testA,testB}/{1-3}.jpg""",
        "",
        "testA, testB, trainA, trainB name a class and a split in one",
    ),
    "folds": (
        """fold{1-3}/{cat,dog}/{1-2}.jpg""",
        "",
        "fold1, fold2, fold3 hold the same folders each .*classes are most likely cat, dog",
    ),
}


def rows_of_the_docs() -> list[str]:
    text = DOCS.read_text()
    table = text[text.index("| from | ") :].split("\n\n")[0]
    return [row.split("|")[1].strip() for row in table.splitlines()[2:]]


def test_every_convention_of_the_documents_is_tested() -> None:
    assert rows_of_the_docs() == list(CONVENTIONS)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_that_people_bring(tmp_path: Path, name: str) -> None:
    spec, classes, outcome = CONVENTIONS[name]
    root = grow(tmp_path / "data", spec)
    if isinstance(outcome, str):
        with pytest.raises(DataError, match=outcome):
            open_dataset(root)
        return
    dataset = open_dataset(root)
    assert list(dataset.classes) == classes.split()
    found = {split: len(held) for split, held in dataset.splits.items()} or len(dataset.labels)
    assert found == outcome
    images = dataset.images
    assert isinstance(images, FileImages)
    for path, label in zip(images.paths, dataset.labels.tolist(), strict=True):
        if not path.startswith("val/"):  # the label is in the path, whatever else is
            assert dataset.classes[label] in path


def test_labels_of_tiny_imagenet_are_those_of_its_list(tmp_path: Path) -> None:
    root = grow(tmp_path, CONVENTIONS["Tiny-ImageNet"][0])
    dataset = open_dataset(root)
    assert isinstance(dataset.images, FileImages)
    label = dict(zip(dataset.images.paths, dataset.labels.tolist(), strict=True))
    assert [label[f"val/images/val_{n}.JPEG"] for n in range(3)] == [1, 0, 1]
    (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\n")
    with pytest.raises(DataError, match=r"no label for 2 images beside it: val_1.JPEG, val_2.JPEG"):
        open_dataset(root)


def test_splits_of_cub_are_those_of_its_list(tmp_path: Path) -> None:
    root = grow(tmp_path, CONVENTIONS["CUB-200-2011"][0])
    dataset = open_dataset(root)
    assert isinstance(dataset.images, FileImages)
    held = [dataset.images.paths[n] for n in dataset.split("test").tolist()]
    assert held == ["CUB_200_2011/images/001.A/x_1.jpg"]
    (root / "CUB_200_2011/train_test_split.txt").write_text("1 0\n")
    with pytest.raises(DataError, match=r"train_test_split.txt says no split for 5 of 6 images"):
        open_dataset(root)


def test_a_list_that_fits_other_images_is_not_used(tmp_path: Path) -> None:
    root = grow(tmp_path, "{a,b}/{1-3}.jpg\ntrain.txt: a/1.jpg|b/1.jpg\ntest.txt: elsewhere/1.jpg")
    told: list[str] = []
    dataset = open_dataset(root, notify=told.append)
    assert not dataset.splits
    assert "train.txt says no split for 4 of 6 images" in told[0]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Training", "trainset", "training_set", "train_set",
          "train-images", "seg_train", "train2017", "train_2019", "images_train", "Training Data",
          "TrainData", "trainingset", "TRAIN", "Final_Training")),
        *((name, "val") for name in ("val", "valid", "Validation", "val2017", "valid_set")),
        *((name, "test") for name in ("test", "Testing", "test_set", "test2017", "seg_test",
          "testset", "test1")),
        *((name, None) for name in ("test_tube", "training_shoe", "valid_id", "pre_train", "trainA",
          "station", "traintest", "train_test", "invalid", "dev", "eval", "holdout", "fold1",
          "train_masks", "contest", "PublicTest")),
    ],
)  # fmt: skip
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_word(name) == split


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"),
        ("train2017", "val2017"),
        ("pets_train", "pets_test"),
        ("X_train", "X_test"),
        ("Training Data", "Test Data"),
    ],
)
def test_decorated_names_of_splits_are_read_and_said(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    root = grow(tmp_path, "\n".join(f"{name}/{{cat,dog}}/{{1-3}}.jpg" for name in names))
    told: list[str] = []
    dataset = open_dataset(root, notify=told.append)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.splits) == 2
    assert len(told) == 1
    assert f"{names[0]} is taken as train" in told[0]
    assert not [f for f in collect_dataset(root).findings if f.severity != "note"]


@pytest.mark.parametrize(
    "spec",
    [
        "{train,bus,car}/{1-3}.jpg",
        "{train,test_tube,bus}/{1-3}.jpg",
        "{test_tube,training_shoe,valid_id}/{1-3}.jpg",
        "{valid,invalid}/{1-3}.jpg",
        "{test,control}/{1-3}.jpg",
        "{screw,screw_test}/{1-3}.jpg",
        "{mask,no_mask}/{1-3}.jpg",
        "{photo,sketch}/{1-3}.jpg",
        "{day_1,day_2}/{1-3}.jpg",
        "{class1,class2}/{1-3}.jpg",
        "person1/session1/{1-3}.jpg\nperson2/session{2-4}/{1-3}.jpg",
        "{cat,dog}/batch{1-2}/{1-3}.jpg",
        "{cat,dog}/images/{1-3}.jpg",
        "cat/{persian,siamese,other}/{1-3}.jpg\ndog/{poodle,beagle,other}/{1-3}.jpg",
    ],
)
def test_classes_that_only_look_like_something_else(tmp_path: Path, spec: str) -> None:
    dataset = open_dataset(grow(tmp_path, spec))
    assert list(dataset.classes) == sorted(p.name for p in tmp_path.iterdir())
    assert not dataset.splits
    assert not collect_dataset(tmp_path).findings


def test_a_class_called_train_within_splits(tmp_path: Path) -> None:
    dataset = open_dataset(grow(tmp_path, "train/{train,bus}/{1-3}.jpg\nval/train/{1-2}.jpg"))
    assert dataset.classes == ("bus", "train")
    assert {dataset.labels[i] for i in dataset.split("val").tolist()} == {1}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{training,testing}/{1-3}.jpg", "testing and training are splits, not classes"),
        ("{train,test}/IMG_{1-3}.jpg", "test and train are splits, not classes"),
        ("train/{IMG,DSC}_{1-3}.jpg\ntest/{1-2}.jpg", "splits, not classes"),
        (
            "cars_train/cars_train/0{1-3}.jpg\ncars_test/cars_test/0{1-3}.jpg",
            "cars_test and cars_train are splits, not classes",
        ),
        ("cars_{train,test}/cars_{train,test}/0{1-3}.jpg", "holds splits again"),
        ("train/{train,val}/{cat,dog}/{1-3}.jpg", "train holds splits again"),
        ("{train,dev}/{cat,dog}/{1-3}.jpg", "'dev' is most likely the val split"),
        ("{train,eval}/{1-3}.jpg", "'eval' is most likely the val split"),
        ("{training,validation,evaluation}/{a,b}/{1-3}.jpg", "'evaluation' is .* the test split"),
        ("{train,hold_out}/{a,b}/{1-3}.jpg", "'hold_out' is most likely the test split"),
        ("{trn,tst}/{a,b}/{1-3}.jpg", "'trn' is most likely the train split and 'tst'"),
        (
            "rps/rps/{paper,rock}/{1-3}.jpg\nrps-test-set/rps-test-set/{paper,rock}/{1-3}.jpg",
            "'rps-test-set' is called like a test split, which makes 'rps' most likely the train",
        ),
        ("{photos,photos_test}/{1-3}.jpg", "makes 'photos' most likely the train split"),
        ("{data,validation}/{a,b}/{1-3}.jpg", "makes 'data' most likely the train split"),
        ("{cat,dog}_{train,test}/{1-3}.jpg", "name a class and a split in one"),
        ("train/{steam,diesel}/{1-3}.jpg\n{bus,car}/{1-3}.jpg", "train is called like a split"),
        ("train/{steam,diesel}_{1-3}.jpg\nbus/{1-3}.jpg", "train is called like a split"),
        ("{cat,dog}/{train,test}/{1-3}.jpg\nbird/{1-3}.jpg", "cat holds splits"),
        ("camera1/{cat,dog,bird}/{1-2}.jpg\ncamera2/{cat,dog}/{1-2}.jpg", "same folders"),
        ("{train,test}/site{1-2}/{cat,dog}/{1-2}.jpg", "same folders"),
        ("camera1/cat/{1-3}.jpg\ncamera2/dog/{1-3}.jpg", "places or pieces .*(cat, dog)"),
        ("{训练,测试}/{1-3}.jpg", "'测试' is most likely the test split and '训练' .* train"),
        ("{cat,dog}/{indoor,outdoor}/{1-2}.jpg", "either may be the classes"),
        ("person{1-2}/session{1-2}/{1-3}.jpg", "either may be the classes"),
        ("part_{1-2}/{1-3}.jpg", "called like pieces"),
        ("{images,thumbnails}/{1-3}.jpg", "images lies beside thumbnails"),
        ("stuff/{cat,dog}/{1-3}.jpg", "go one level deeper: give .*stuff;"),
        ("stuff/more/{cat,dog}/{1-3}.jpg", "go one level deeper: give .*stuff/more;"),
        ("train/{1-6}.jpg", "train is a split, not a class"),
        ("{IMG,DSC}_{1-3}.jpg", "6 images and no class folders"),
    ],
)
def test_what_is_not_certain_is_refused_and_what_is_proposed_works(
    tmp_path: Path, spec: str, message: str
) -> None:
    """Every expression that a remedy proposes reads the folder with two classes or more."""
    root = grow(tmp_path / "data", spec)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(root)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    proposed = re.findall(r"--label-from-name '([^']+)'", caught.value.remedy)
    assert proposed or re.search("REGEX|give the folder", caught.value.remedy)
    for text in proposed:
        dataset = open_dataset(root, options=DataOptions(label_from_name=text))
        assert len(dataset.classes) >= 2
        assert len(dataset.splits) in (0, 2, 3)


@pytest.mark.parametrize(
    "spec",
    [
        "data/images/{cat,dog}/{1-3}.jpg",
        "dataset/dataset/{train,test}/{cat,dog}/{1-3}.jpg",
        "{train,val}/{train,val}/{cat,dog}/{1-3}.jpg",
        "{train,val}/images/{cat,dog}/{1-3}.jpg",
        "anything/{train,val}/{cat,dog}/{1-3}.jpg",
    ],
)
def test_wrappers_are_walked_through_and_said(tmp_path: Path, spec: str) -> None:
    if spec.startswith("{train,val}/{"):  # only the folder that repeats itself
        spec = "train/train/{cat,dog}/{1-3}.jpg\nval/val/{cat,dog}/{1-3}.jpg"
    told: list[str] = []
    dataset = open_dataset(grow(tmp_path, spec), notify=told.append)
    assert dataset.classes == ("cat", "dog")
    assert told
    assert all(re.match(r"data: read (one level|2 levels) deeper: ", line) for line in told)


def test_classes_that_hold_their_splits(tmp_path: Path) -> None:
    root = grow(tmp_path, "{cat,dog}/{train,test}/{1-3}.jpg\nbird/{train,val}/{1-2}.jpg")
    dataset = open_dataset(root)
    assert dataset.classes == ("bird", "cat", "dog")
    assert isinstance(dataset.images, FileImages)
    for split in ("train", "val", "test"):
        for n in dataset.split(split).tolist():  # type: ignore[arg-type]
            path = dataset.images.paths[n].split("/")
            assert path[:2] == [dataset.classes[dataset.labels[n]], split]


@pytest.mark.parametrize(
    ("spec", "left_out"),
    [
        ("{images,masks}/{cat,dog}/{1-3}.png", {"masks": 6}),
        ("{cat,dog}/{images,masks}/{1-3}.png", {"cat/masks": 3, "dog/masks": 3}),
        ("{cat,dog,masks}/{1-3}.png", {"masks": 3}),
        ("{cat,dog}/x ({1-3}).png\n{cat,dog}/x ({1-3})_mask.png", {"cat": 3, "dog": 3}),
        ("{cat,dog}_{1-3}.png\n{cat,dog}_{1-3}_mask.png", {"": 6}),
        ("{cat,dog,unlabeled}/{1-3}.png", {"unlabeled": 3}),
        ("labeled/{cat,dog}/{1-3}.png\nunlabeled/{1-9}.png", {"unlabeled": 9}),
        ("pets/images/{cat,dog}/{1-3}.png\npets/unlabelled/{1-9}.png", {"pets/unlabelled": 9}),
        ("Labelled/{cat,dog}/{1-3}.png\nunsup/x/{1-9}.png", {"unsup": 9}),
        ("{cat,dog}/{1-3}.png\nPlantVillage/{cat,dog}/{1-3}.png", {"PlantVillage": 6}),
        ("{cat,dog}/{1-3}.png\npv/pv/{cat,dog}/{1-3}.png", {"pv": 6}),
    ],
)
def test_masks_copies_and_unlabelled_images_are_no_classes(
    tmp_path: Path, spec: str, left_out: dict[str, int]
) -> None:
    root = grow(tmp_path, spec)
    dataset = open_dataset(root)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.labels) == 6
    assert isinstance(dataset.images, FileImages)
    assert not [path for path in dataset.images.paths if "mask" in path]
    warnings = [f for f in collect_dataset(root).findings if f.severity == "warning"]
    named = [path for f in warnings for path in f.paths]
    for place, number in left_out.items():
        files = [p for p in named if p == str(root / place)] or [
            p for p in named if Path(p).parent == root / place
        ]
        assert len(files) in (1, number)


def test_a_link_in_a_folder_that_is_not_used_is_no_fault(tmp_path: Path) -> None:
    root = grow(tmp_path / "data", "{train,test}/{a,b}/{1-2}.jpg\nbackup/a/1.jpg")
    (root / "backup" / "gone").symlink_to("nowhere")
    assert [f.severity for f in collect_dataset(root).findings] == ["warning"]
    (root / "train" / "a" / "gone").symlink_to("nowhere")
    assert "link-broken" in {f.kind for f in collect_dataset(root).findings}


def test_an_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    import shutil

    root = grow(tmp_path / "tree", CONVENTIONS["Tiny-ImageNet"][0])
    packed = shutil.make_archive(str(tmp_path / "tiny"), "zip", root)
    dataset, unpacked = open_dataset(root), open_dataset(packed, cache=tmp_path / "cache")
    assert isinstance(dataset.images, FileImages)
    assert isinstance(unpacked.images, FileImages)
    assert unpacked.images.paths == dataset.images.paths
    assert unpacked.labels.tolist() == dataset.labels.tolist()
    assert unpacked.split("val").tolist() == dataset.split("val").tolist()


def test_evaluation_takes_a_single_class_and_its_folders(tmp_path: Path) -> None:
    dataset = open_dataset(grow(tmp_path, "cat/{1,2}/{1-3}.jpg"), need_train=False)
    assert (dataset.classes, len(dataset.labels)) == (("cat",), 6)


def test_notes_are_findings_of_their_own(tmp_path: Path) -> None:
    found = collect_dataset(grow(tmp_path, "{train_set,test_set}/{a,b}/{1-2}.jpg")).findings
    assert found == (
        Finding("layout", "note", "test_set is taken as test, train_set is taken as train"),
    )
