"""The only room that touches the network, the disk, the keyring or another process."""
