"""How pip's settings here become those of a build."""

import configparser
from pathlib import Path

from deploy.container.pip_access import PipAccess, pip_access, taken


def test_only_what_reaches_packages_is_taken_and_the_environment_goes_first() -> None:
    listed = """
:env:.index-url='https://one.example/simple'
:env:.disable-pip-version-check='1'
global.index-url='https://two.example/simple'
global.cert='/certificates.pem'
global.target='/somewhere'
install.user='true'
"""
    assert taken(listed) == {"index-url": "https://one.example/simple", "cert": "/certificates.pem"}


def test_several_values_stand_on_one_line() -> None:
    access = PipAccess(taken("global.extra-index-url='https://one.example/\\nhttps://two.example/'"))
    parser = configparser.RawConfigParser()
    parser.read_string(access.configuration)
    assert parser["global"]["extra-index-url"] == "https://one.example/ https://two.example/"


def test_folders_and_files_of_this_machine_are_found_and_nothing_else(tmp_path: Path) -> None:
    wheels, index, certificate = tmp_path / "wheels", tmp_path / "index" / "simple", tmp_path / "wheels" / "own.pem"
    wheels.mkdir()
    index.mkdir(parents=True)
    certificate.touch()
    access = PipAccess(
        {
            "find-links": f"{wheels} https://wheels.example/ {tmp_path / 'missing'} relative",
            "extra-index-url": f"https://one.example/simple {index.as_uri()}",
            "cert": str(certificate),
            "proxy": str(tmp_path),
        }
    )
    # An index refers to files beside itself; the certificate lies in a folder that is there already.
    assert access.local == [index.parent, wheels]


def test_this_machine_s_settings_can_be_read() -> None:
    configuration = pip_access().configuration
    assert configuration.startswith("[global]\n")
