"""What each code means and what to do about it, for the administrator who reads a verdict.

This is a table, and longer than a module should be for that reason alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sync.core.codes import Code


@dataclass(frozen=True, slots=True)
class Explanation:
    """`meaning` says what was found, `remedy` what to do about it, `source` where the rule comes from."""

    meaning: str
    remedy: str
    source: str


EXPLANATIONS: Mapping[Code, Explanation] = MappingProxyType(
    {
        # A: the attribute value
        Code.VALUE_EMPTY: Explanation(
            "The attribute value has no bytes.",
            "Remove the empty value from the account in Active Directory.",
            "Active Directory schema, userCertificate",
        ),
        Code.VALUE_TOO_LARGE: Explanation(
            "The attribute value is larger than the 32,768 bytes that Active Directory allows.",
            "Find out what wrote it, and publish a certificate of ordinary size.",
            "Active Directory schema, rangeUpper",
        ),
        Code.VALUE_UNKNOWN_FORMAT: Explanation(
            "The bytes are no certificate, no S/MIME SignedData, and no MAPI certificate blob.",
            "Remove the value and publish the certificate again in binary DER form, not as text.",
            "MS-OXLDAP 2.2.5.2; MS-OXOABK 2.2.4.36; RFC 2798, 2.8",
        ),
        Code.CMS_MALFORMED: Explanation(
            "The value begins like a CMS message but is damaged, not SignedData, or of more than 64 certificates.",
            'Have the person publish again from Outlook ("Publish to GAL"), or remove the value.',
            "RFC 5652, 5",
        ),
        Code.CMS_NO_CERTIFICATE: Explanation(
            "The SignedData holds no certificate.",
            "Have the person publish again from Outlook, or remove the value.",
            "RFC 5652, 5.1",
        ),
        Code.CMS_TRAILING_DATA: Explanation(
            "Bytes follow after the end of the SignedData.",
            "Nothing needs doing; if clients refuse the value, have the person publish again.",
            "RFC 5652, 5",
        ),
        Code.CMS_SIGNATURE_INVALID: Explanation(
            "The signature of the SignedData is missing or does not verify, so what it prefers counts for nothing.",
            "Have the person publish again from Outlook.",
            "RFC 8551, 2.5.3",
        ),
        Code.CMS_NO_USER_LEAF: Explanation(
            "The SignedData does not hold the certificate that senders should encrypt to.",
            "Have the person publish again from Outlook with both certificates chosen in its settings.",
            "RFC 8551, 2.5.3",
        ),
        Code.CMS_AMBIGUOUS_LEAF: Explanation(
            "Several certificates of the SignedData could be the person's and none is named; the newest was taken.",
            "Have the person publish again from Outlook, which names the one to use.",
            "RFC 8551, 2.5.3",
        ),
        Code.SMIME_BARE_CERTIFICATE: Explanation(
            "userSMIMECertificate holds a bare certificate, where Outlook expects a SignedData.",
            "Write bare certificates to userCertificate; this one was judged, and is published there if it is good.",
            "MS-OXOABK 2.2.4.36",
        ),
        # B: the certificate
        Code.CERT_MALFORMED: Explanation(
            "The certificate cannot be read: damaged, cut off, followed by other bytes, or not DER.",
            "Remove the value and publish the certificate again from the CA or the person's store.",
            "RFC 5280, 4.1",
        ),
        Code.CERT_NOT_V3: Explanation(
            "The certificate is not of version 3, so it cannot say what it is for.",
            "Issue a version 3 certificate.",
            "RFC 5280, 4.1.2.1",
        ),
        Code.SIGALG_MISMATCH: Explanation(
            "The certificate names two different signature algorithms, inside and outside its signed part.",
            "Treat it as tampered with, and issue a new one.",
            "RFC 5280, 4.1.1.2",
        ),
        Code.SERIAL_INVALID: Explanation(
            "The serial number is zero, negative, or longer than 20 octets.",
            "Correct the CA's serial number settings; some clients refuse such certificates.",
            "RFC 5280, 4.1.2.2",
        ),
        Code.EXT_MALFORMED: Explanation(
            "An extension of the certificate cannot be read.",
            "Correct the certificate template or the CA, and issue a new one.",
            "RFC 5280, 4.2",
        ),
        Code.EXT_DUPLICATE: Explanation(
            "The same extension occurs twice, so nobody can say which one counts.",
            "Correct the certificate template or the CA, and issue a new one.",
            "RFC 5280, 4.2",
        ),
        Code.EXT_UNKNOWN_CRITICAL: Explanation(
            "The certificate has a critical extension that is not known here, and so must be refused.",
            "Have the CA mark the extension as not critical, or leave it out.",
            "RFC 5280, 4.2",
        ),
        Code.IS_CA: Explanation(
            "The certificate is that of a certification authority, not a person's.",
            "Remove it from the person's account.",
            "RFC 5280, 4.2.1.9",
        ),
        Code.SELF_SIGNED: Explanation(
            "The person vouches for the certificate, not a CA (EFS makes such certificates by itself).",
            "Have the person enrol with your CA; an EFS certificate may stay, it is just not published.",
            "RFC 5280, 3.2",
        ),
        Code.NOT_YET_VALID: Explanation(
            "The certificate's validity begins in the future.",
            "Nothing needs doing: it is looked at again; if it should be valid now, see the clock of the CA.",
            "RFC 5280, 4.1.2.5",
        ),
        Code.EXPIRED: Explanation(
            "The certificate's validity has ended.",
            "Renew the certificate, and remove the old one from the account.",
            "RFC 5280, 4.1.2.5",
        ),
        Code.EXPIRY_GRACE: Explanation(
            "The certificate has just expired; it stays published for the grace that is set, then it is withdrawn.",
            "Renew it now: senders whose software looks at the date cannot encrypt to it any more.",
            "RFC 5280, 4.1.2.5; decision table, C5",
        ),
        Code.EXPIRES_SOON: Explanation(
            "The certificate's validity ends soon.",
            "Renew it, or see why auto-enrolment did not.",
            "RFC 5280, 4.1.2.5",
        ),
        Code.VALIDITY_TOO_LONG: Explanation(
            "The certificate was issued for a longer time than the policy pack allows for its day of issue.",
            "Have the CA issue certificates for at most 825 days, or choose the pack private-ca.",
            "S/MIME BR, 6.3.2",
        ),
        Code.KEY_TOO_SMALL: Explanation(
            "The RSA key is shorter than the policy allows.",
            "Issue a certificate with an RSA key of 2048 bits or more.",
            "S/MIME BR, 6.1.5",
        ),
        Code.KEY_BAD_EXPONENT: Explanation(
            "The RSA key's public exponent is even, below 3, or smaller than is usual.",
            "Generate a new key with the exponent 65537.",
            "S/MIME BR, 6.1.6",
        ),
        Code.KEY_CURVE: Explanation(
            "The key is on an elliptic curve that the policy does not allow.",
            "Issue a certificate on P-256, P-384 or P-521, or allow the curve in the policy.",
            "S/MIME BR, 6.1.5",
        ),
        Code.KEY_NOT_FOR_ENCRYPTION: Explanation(
            "The key can only sign; nothing can be encrypted to it.",
            "Publish the person's encryption certificate (RSA or elliptic curve); this one can leave the directory.",
            "RFC 8550, 4.3; RFC 8410, 3",
        ),
        Code.KEY_UNSUPPORTED: Explanation(
            "The key is of a kind, or a size, that mail clients do not support, or cannot be read.",
            "Issue a certificate with an RSA key of 2048 to 8192 bits, or one on P-256, P-384 or P-521.",
            "S/MIME BR, 6.1.5",
        ),
        Code.SIG_WEAK_HASH: Explanation(
            "The CA signed the certificate with a broken hash such as SHA-1 or MD5.",
            "Set the CA to SHA-256 and issue a new certificate.",
            "S/MIME BR, 7.1.3.2",
        ),
        Code.SIG_UNSUPPORTED: Explanation(
            "The CA signed the certificate with an algorithm that is not supported.",
            "Set the CA to RSA or ECDSA with SHA-256, SHA-384 or SHA-512, and issue a new certificate.",
            "S/MIME BR, 7.1.3.2",
        ),
        Code.KU_NOT_ENCRYPTION: Explanation(
            "The key usage does not allow encryption with this kind of key.",
            "A signing certificate can stay out; else let the template allow key encipherment (RSA) or agreement (EC).",
            "RFC 5280, 4.2.1.3",
        ),
        Code.KU_ABSENT: Explanation(
            "The certificate does not say what its key may be used for; Outlook may not encrypt to it.",
            "Let the template state the key usage.",
            "RFC 5280, 4.2.1.3",
        ),
        Code.EKU_NOT_EMAIL: Explanation(
            "The certificate is for other purposes (EFS, smart card logon, TLS ...), not for e-mail.",
            "Nothing needs doing, unless it was meant for e-mail: then add Secure Email to its template.",
            "RFC 8550, 4.4.4",
        ),
        Code.EKU_ABSENT: Explanation(
            "The certificate does not say which purposes it is for; Outlook wants Secure Email stated.",
            "Add Secure Email to the template's application policies, or allow its absence in the policy.",
            "RFC 8550, 4.4.4",
        ),
        Code.EKU_ANY: Explanation(
            "The certificate is for any purpose and not expressly for e-mail; Outlook may not choose it.",
            "Add Secure Email to the template's application policies.",
            "RFC 8550, 4.4.4",
        ),
        Code.MAILBOX_NONE: Explanation(
            "The certificate names no e-mail address (a user principal name is not one).",
            "Let the template put the e-mail address into the subject alternative name, and issue a new certificate.",
            "RFC 8550, 3",
        ),
        Code.MAILBOX_MALFORMED: Explanation(
            "An e-mail address of the certificate is not written as one.",
            "Correct the mail attribute of the account, and issue a new certificate.",
            "RFC 5280, 4.2.1.6; RFC 9598, 3",
        ),
        Code.MAILBOX_MISMATCH: Explanation(
            "No e-mail address of the certificate belongs to this recipient in Office 365.",
            "Give the recipient that address, or issue a certificate for an address that it has.",
            "RFC 8550, 3; RFC 5280, 7.5",
        ),
        Code.MAILBOX_CASE: Explanation(
            "The addresses of certificate and recipient differ in upper and lower case only.",
            "Nothing needs doing; write the address the same way when the certificate is renewed.",
            "RFC 5280, 7.5",
        ),
        Code.MAILBOX_SECONDARY: Explanation(
            "The certificate is for a secondary address of the recipient, not for the primary one.",
            "Issue the next certificate for the primary address; senders to it may not find this one.",
            "RFC 8550, 3",
        ),
        Code.MAILBOX_FOREIGN: Explanation(
            "The certificate also names addresses that are not this recipient's.",
            "See whether the other addresses are old ones; leave them out when it is renewed.",
            "RFC 8550, 3",
        ),
        Code.CHAIN_NO_ISSUER: Explanation(
            "The certificate of an issuing CA is not known, so no path to a trust anchor can be built.",
            "Add the missing CA certificate to the intermediates, or to the trust anchors if you trust it.",
            "RFC 5280, 6.1",
        ),
        Code.CHAIN_UNTRUSTED: Explanation(
            "The path ends at a root that is not one of the configured trust anchors.",
            "If you trust that root, add it to the trust anchors; else publish a certificate from a CA that you trust.",
            "RFC 5280, 6.1",
        ),
        Code.CHAIN_SIGNATURE: Explanation(
            "A signature on the path does not verify: altered, or made by a CA of the same name with another key.",
            "If the CA was renewed with a new key, add its new certificate; else issue a new certificate.",
            "RFC 5280, 6.1.3",
        ),
        Code.CHAIN_CA_EXPIRED: Explanation(
            "A CA certificate on the path is not valid at this time.",
            "Add the CA's renewed certificate to the intermediates.",
            "RFC 5280, 6.1.3",
        ),
        Code.CHAIN_ANCHOR_EXPIRED: Explanation(
            "The trust anchor is not valid at this time.",
            "Add the root's renewed certificate to the trust anchors, and take the expired one out.",
            "RFC 5280, 6.1.1",
        ),
        Code.CHAIN_NOT_CA: Explanation(
            "The certificate was issued by somebody who is not a CA.",
            "Find out how the certificate came about: a person's certificate cannot vouch for another.",
            "RFC 5280, 4.2.1.9",
        ),
        Code.CHAIN_PATHLEN: Explanation(
            "A CA on the path allows fewer CAs below it than there are.",
            "Issue from a CA within the path length, or have the superior CA allow more.",
            "RFC 5280, 4.2.1.9",
        ),
        Code.CHAIN_KU: Explanation(
            "A CA certificate on the path may not sign certificates.",
            "Have the CA's certificate renewed with the key usage keyCertSign.",
            "RFC 5280, 4.2.1.3",
        ),
        Code.CHAIN_EKU: Explanation(
            "A CA on the path may not issue certificates for e-mail.",
            "Issue from a CA that may, or have the CA's certificate renewed with Secure Email among its purposes.",
            "S/MIME BR, 7.1.2.2",
        ),
        Code.CHAIN_CRITICAL_EXT: Explanation(
            "A CA certificate on the path has a critical extension that is not known here, or one that cannot be read.",
            "Have the CA's certificate renewed without it.",
            "RFC 5280, 6.1.4",
        ),
        Code.CHAIN_KEY_TOO_SMALL: Explanation(
            "A CA below the trust anchor has a key that is too weak.",
            "Renew the CA with an RSA key of 2048 bits or more, or on P-256, P-384 or P-521.",
            "S/MIME BR, 6.1.5",
        ),
        Code.CHAIN_WEAK_HASH: Explanation(
            "The certificate of a CA below the trust anchor is signed with a broken or unsupported algorithm.",
            "Have the CA's certificate renewed with SHA-256.",
            "S/MIME BR, 7.1.3.2",
        ),
        Code.CHAIN_BUDGET: Explanation(
            "Building the path would take more certificates, or more attempts, than are allowed.",
            "Take superfluous CA certificates of the same name away, or have the person publish again.",
            "RFC 4158, 2.4",
        ),
        Code.NC_NOT_PERMITTED: Explanation(
            "A CA on the path is restricted to certain names, and this certificate has another.",
            "Issue from a CA that may certify this address.",
            "RFC 5280, 4.2.1.10",
        ),
        Code.NC_EXCLUDED: Explanation(
            "A CA on the path is barred from certain names, and this certificate has one of them.",
            "Issue from a CA that may certify this address.",
            "RFC 5280, 4.2.1.10",
        ),
        Code.NC_UNSUPPORTED: Explanation(
            "A CA on the path restricts names of a form, or in a way, that cannot be checked.",
            "Have the CA's certificate renewed with constraints on e-mail, DNS or directory names only.",
            "RFC 5280, 4.2.1.10",
        ),
        Code.CHAIN_POLICY: Explanation(
            "A CA on the path demands a certificate policy; that is refused here, whether the path has one or not.",
            "Issue from a CA without that demand (requireExplicitPolicy), or have its certificate renewed without it.",
            "RFC 5280, 6.1.5",
        ),
        Code.REVOKED: Explanation(
            "The CA has revoked the certificate.",
            "Remove it from the account, and issue a new one if the person still needs one.",
            "RFC 5280, 6.3",
        ),
        Code.CA_REVOKED: Explanation(
            "A CA on the path was revoked by its superior.",
            "Issue new certificates from another CA.",
            "RFC 5280, 6.3",
        ),
        Code.REVOCATION_UNKNOWN: Explanation(
            "Whether the certificate is revoked could not be found out.",
            "See whether the configured revocation source of its issuer can be reached and is current.",
            "RFC 5280, 6.3; RFC 6960",
        ),
        Code.CRL_STALE: Explanation(
            "The newest revocation list of the issuer is past its next update.",
            "See why the CA does not publish its revocation list.",
            "RFC 5280, 5.1.2.5",
        ),
        Code.CRL_SIGNATURE: Explanation(
            "The revocation list is not signed by the issuer.",
            "See whether the configured source belongs to this CA and this key.",
            "RFC 5280, 6.3.3",
        ),
        Code.CRL_LDAP_ONLY: Explanation(
            "A CA certificate on the path names ldap: addresses only for the list that could revoke it.",
            "Publish the superior CA's list over HTTP too, and have the CA's certificate renewed with that address: "
            "neither the cloud nor senders outside the domain can reach the directory.",
            "RFC 5280, 4.2.1.13",
        ),
        # C: the person
        Code.DUPLICATE: Explanation(
            "The same certificate is there more than once; it counts once.",
            "Nothing needs doing.",
            "Decision table, C1",
        ),
        Code.SUPERSEDED_SAME_KEY: Explanation(
            "A newer certificate for the same key takes the place of this one.",
            "Nothing needs doing; the older one can be removed from the account.",
            "Decision table, C2",
        ),
        Code.SUPERSEDED: Explanation(
            "A better certificate for the same address takes the place of this one.",
            "Nothing needs doing; the older one can be removed from the account once no mail needs it.",
            "Decision table, C3",
        ),
        Code.OVER_LIMIT: Explanation(
            "The certificate is good, but the person has more than can be published.",
            "Remove certificates that are no longer needed from the account.",
            "Entra Connect: 15 values an attribute",
        ),
        Code.SHADOWING: Explanation(
            "The userSMIMECertificate value is left out, because Outlook would take it before the right certificate.",
            "Have the person publish again from Outlook, or remove the value; userCertificate serves meanwhile.",
            "Outlook's order: userSMIMECertificate before userCertificate",
        ),
        Code.NONE_PUBLISHABLE: Explanation(
            "None of the person's certificates can be published.",
            "See the findings of each one.",
            "Decision table, C5",
        ),
        Code.OVERLAP: Explanation(
            "The predecessor stays published beside the new certificate for a while.",
            "Nothing needs doing.",
            "Decision table, C6",
        ),
    }
)
