package emv

import "github.com/shebao-pay/shebao/cardauth/tlv"

// Tags of the data objects in use (EMV 4.3 Book 3, Annex A).
const (
	TagAID            tlv.Tag = 0x4F
	TagLabel          tlv.Tag = 0x50
	TagTrack2         tlv.Tag = 0x57
	TagPAN            tlv.Tag = 0x5A
	TagDirEntry       tlv.Tag = 0x61
	TagFCI            tlv.Tag = 0x6F
	TagRecord         tlv.Tag = 0x70
	TagScriptBefore   tlv.Tag = 0x71
	TagScriptAfter    tlv.Tag = 0x72
	TagFormat2        tlv.Tag = 0x77
	TagFormat1        tlv.Tag = 0x80
	TagAmountBinary   tlv.Tag = 0x81
	TagAIP            tlv.Tag = 0x82
	TagDFName         tlv.Tag = 0x84
	TagScriptCommand  tlv.Tag = 0x86
	TagPriority       tlv.Tag = 0x87
	TagSFI            tlv.Tag = 0x88
	TagARC            tlv.Tag = 0x8A
	TagCDOL1          tlv.Tag = 0x8C
	TagCDOL2          tlv.Tag = 0x8D
	TagCVMList        tlv.Tag = 0x8E
	TagIssuerAuth     tlv.Tag = 0x91
	TagAFL            tlv.Tag = 0x94
	TagTVR            tlv.Tag = 0x95
	TagDate           tlv.Tag = 0x9A
	TagTSI            tlv.Tag = 0x9B
	TagType           tlv.Tag = 0x9C
	TagProprietary    tlv.Tag = 0xA5
	TagHolderName     tlv.Tag = 0x5F20
	TagExpiry         tlv.Tag = 0x5F24
	TagEffective      tlv.Tag = 0x5F25
	TagCurrency       tlv.Tag = 0x5F2A
	TagLanguage       tlv.Tag = 0x5F2D
	TagPSN            tlv.Tag = 0x5F34
	TagAmount         tlv.Tag = 0x9F02
	TagAmountOther    tlv.Tag = 0x9F03
	TagAUC            tlv.Tag = 0x9F07
	TagCardVersion    tlv.Tag = 0x9F08
	TagVersion        tlv.Tag = 0x9F09
	TagHolderNameMore tlv.Tag = 0x9F0B
	TagIAD            tlv.Tag = 0x9F10
	TagScriptID       tlv.Tag = 0x9F18
	TagCountry        tlv.Tag = 0x9F1A
	TagSerial         tlv.Tag = 0x9F1E
	TagTime           tlv.Tag = 0x9F21
	TagCryptogram     tlv.Tag = 0x9F26
	TagCID            tlv.Tag = 0x9F27
	TagCapabilities   tlv.Tag = 0x9F33
	TagCVMResults     tlv.Tag = 0x9F34
	TagTerminalType   tlv.Tag = 0x9F35
	TagATC            tlv.Tag = 0x9F36
	TagUnpredictable  tlv.Tag = 0x9F37
	TagPDOL           tlv.Tag = 0x9F38
	TagAddCapability  tlv.Tag = 0x9F40
	TagSequence       tlv.Tag = 0x9F41
	TagAppCurrency    tlv.Tag = 0x9F42
	TagMerchantName   tlv.Tag = 0x9F4E
	TagHolderID       tlv.Tag = 0x9F61 // PBOC, assumed, see docs/spec/card.md
	TagHolderIDType   tlv.Tag = 0x9F62 // PBOC, assumed, see docs/spec/card.md
	TagECash          tlv.Tag = 0x9F7A // PBOC electronic cash indicator
	TagScriptResults  tlv.Tag = 0xDF31 // UnionPay DE 55
)
