"""Unity ML-Agents builds as bridges. This package is the only importer of mlagents-envs."""

from bridge.unity.messages import install

install()
