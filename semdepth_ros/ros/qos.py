"""Quality of service: defaults of this node, overrides of the user, `auto` for the image input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

if TYPE_CHECKING:
    from rclpy.node import Node

_RELIABILITY = {
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}


def output_qos(latched: bool = False) -> QoSProfile:
    """Return what publishers offer: reliable, keep last 1; latched for late comers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def input_qos(reliability: ReliabilityPolicy, depth: int = 1) -> QoSProfile:
    """Return what subscriptions ask for."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)


def overridable(*more: QoSPolicyKind) -> QoSOverridingOptions:
    """Let the user override history, depth and reliability (parameters `qos_overrides.<topic>`)."""
    kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
    return QoSOverridingOptions([*kinds, *more])


def overridable_but_reliability() -> QoSOverridingOptions:
    """The same for the image input, whose reliability `declared_reliability` looks after."""
    return QoSOverridingOptions([QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH])


def declared_reliability(node: Node, topic: str, parameter: str) -> str:
    """Return 'auto', 'reliable' or 'best_effort' for the subscription of a resolved topic.

    The override `qos_overrides.<topic>.subscription.reliability`, declared here, goes before the
    node's parameter. rclpy's own declaration cannot be used: it would take the first answer of
    `auto` for an override.
    """
    from rcl_interfaces.msg import ParameterDescriptor

    name = f'qos_overrides.{topic}.subscription.reliability'
    if not node.has_parameter(name):
        descriptor = ParameterDescriptor(
            description=f'reliability for subscription `{topic}`', read_only=True
        )
        node.declare_parameter(name, 'system_default', descriptor)
    override = node.get_parameter(name).value
    return override if override in _RELIABILITY else parameter


def chosen_reliability(wanted: str, offered: Sequence[ReliabilityPolicy]) -> ReliabilityPolicy:
    """Return the reliability to ask for, given what the publishers found so far offer.

    Best effort matches every publisher, reliable loses nothing: so `auto` is reliable if every
    publisher is, and best effort while there is none.
    """
    if wanted != 'auto':
        return _RELIABILITY[wanted]
    if offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered):
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


def incompatible_qos_text(topic: str, policy_kind: int) -> str:
    """Return the sentence about a publisher or subscription that does not fit ours."""
    policy = qos_policy_name_from_kind(policy_kind).lower()
    return (
        f'{topic}: incompatible QoS policy {policy}: no messages pass between this node and that '
        f'one; set the parameter qos_overrides.{topic}.*.{policy}, or the other node'
    )
