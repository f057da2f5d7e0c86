"""`python -m vlx tokenizer`: a vocabulary from the captions of any source."""

import subprocess
from pathlib import Path

from commands.call import vlx

from vlx.data.tokenizers import SentencePieceTokenizer

from tiny_run import settings, write_pictures, write_recipe


def call(folder: Path, *flags: str) -> subprocess.CompletedProcess:
    recipe = write_recipe(folder, settings(write_pictures(folder / "pictures")))
    return vlx("tokenizer", f"--config={recipe}", f"--output={folder / 'words'}", *flags)


def test_a_vocabulary_is_trained_on_the_captions(tmp_path):
    done = call(tmp_path)
    assert done.returncode == 0, done.stderr
    tokenizer = SentencePieceTokenizer(str(tmp_path / "words" / "sentencepiece.model"))
    assert f"{tokenizer.vocab_size} words, from the captions of 29 images" in done.stdout
    assert tokenizer.decode(tokenizer.encode("picture 3 of a frog", 31)) == "picture 3 of a frog"


def test_a_published_vocabulary_is_not_trained(tmp_path):
    done = call(tmp_path, "--config.tokenizer.name=clip_bpe")
    assert done.returncode == 2
    assert "'clip_bpe' with tokenizer.path='' leaves nothing to train; set" in done.stderr
    assert not (tmp_path / "words").exists()
