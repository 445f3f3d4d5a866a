// Package vectors holds published test vectors with their sources, shared by the
// tests of the packages that must reproduce them. Values that no publication
// gives are marked Own: they were computed once and guard against change only.
//
// Nothing but tests imports it.
package vectors

import "encoding/hex"

// Hex decodes a constant of this package; a constant that is not hexadecimal is
// a mistake in the source and stops the test.
func Hex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("vectors: constant is not hexadecimal: " + err.Error())
	}
	return b
}

// Sources.
const (
	Own        = "computed once by this project, unpublished"
	CUPTrace   = "trace of a POS terminal in public circulation"
	ISO9797    = "ISO/IEC 9797-1:2011, annex B, MAC algorithm 3"
	RFC4493    = "RFC 4493, section 4"
	GBT32907   = "GB/T 32907-2016, appendix A"
	ISO9564    = "ISO 9564-1:2017, annex"
	TR31of2018 = "ANSI X9 TR-31:2018, A.7.4"
	X9143      = "ANSI X9.143:2021, 8.1"
	TR31Public = "TR-31 key blocks in public circulation"
)

// MAC is one code over one message. Alg is the name of the constant in hsmapi.
type MAC struct {
	Name, Source, Alg string
	Key, Data, Want   string // hexadecimal
}

const (
	key16  = "0123456789ABCDEFFEDCBA9876543210"
	aesKey = "2b7e151628aed2a6abf7158809cf4f3c"
	posMsg = "02003020048000C0801500000000000000123400000203009930303030303030313935323731383138323231373837353135360019260000010006000000000043" +
		"5F0112323834343132333435363738393031323334" + "5F0306313630303336" + "5F0406323030383236" + "5C023031"
	posMsg2 = "0200302004C020C0981100000000000000005100183402100006324392260009942820D1312101120084393136363838303134303030303030303030303030303030313536ACF46E73838A82F92600000000000000000822000001"
)

// MACs are the codes of every algorithm but the SM4 ones, for which nothing is
// published.
var MACs = []MAC{
	{"POS trace, single key", CUPTrace, "MACCUPECB", "0723C80DB5F4CD3D", posMsg, hex.EncodeToString([]byte("B3A092AE"))},
	{"POS trace, key doubled", CUPTrace, "MACCUPECB", "0723C80DB5F4CD3D0723C80DB5F4CD3D", posMsg, hex.EncodeToString([]byte("B3A092AE"))},
	{"second POS trace", CUPTrace, "MACCUPECB", "C24A8FB57AA20123", posMsg2, hex.EncodeToString([]byte("72489CAC"))},
	{"24 bytes, padding 1", ISO9797, "MACX919Pad1", key16, hex.EncodeToString([]byte("Now is the time for all ")), "A1C72E74EA3FA9B6"},
	{"24 bytes, padding 2", ISO9797, "MACX919Pad2", key16, hex.EncodeToString([]byte("Now is the time for all ")), "E9086230CA3BE796"},
	{"22 bytes, padding 1", ISO9797, "MACX919Pad1", key16, hex.EncodeToString([]byte("Now is the time for it")), "2E2B1428CC78254F"},
	{"22 bytes, padding 2", ISO9797, "MACX919Pad2", key16, hex.EncodeToString([]byte("Now is the time for it")), "5A692CE64F404145"},
	{"empty", RFC4493, "MACAESCMAC", aesKey, "", "BB1D6929E9593728"},
	{"16 bytes", RFC4493, "MACAESCMAC", aesKey, "6bc1bee22e409f96e93d7e117393172a", "070A16B46B4D4144"},
	{"40 bytes", RFC4493, "MACAESCMAC", aesKey, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "DFA66747DE9AE630"},
}

// CMACs are full AES-CMAC values.
var CMACs = []MAC{
	{"empty", RFC4493, "", aesKey, "", "BB1D6929E95937287FA37D129B756746"},
	{"16 bytes", RFC4493, "", aesKey, "6bc1bee22e409f96e93d7e117393172a", "070A16B46B4D4144F79BDD9DD04A287C"},
	{"40 bytes", RFC4493, "", aesKey, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "DFA66747DE9AE63030CA32611497C827"},
}

// SM4 is one block: the key is also the plaintext (GB/T 32907).
var SM4 = struct{ Key, Want string }{key16, "681EDF34D206965E86B3E94F536E4246"}

// POSFrame is the published frame of the first POS trace: TPDU and header
// before the message.
var POSFrame = struct{ Before, Message string }{"6000030000" + "603210320072", posMsg}

// DE62 is the working key block of a sign-on answer (POS dialect).
var DE62 = struct{ Source, TMK, Block, PIK, PIKCheck, MAK, MAKCheck string }{
	CUPTrace, "CA5D92598DCA48CE8A4C76361A9269E9",
	"6701EAD6A9AD51E51AA406E2C27FCFA98D0A74B8B651F9E9BACE9AE10000000000000000AB7153CA",
	"807A23AD32B36D457AE91FDF927570EA", "8D0A74B8", "5BB5C72CD00B7338", "AB7153CA",
}

// TAK is a MAC key enciphered under a terminal master key (second POS trace).
var TAK = struct{ Source, TMK, Enciphered, Key string }{
	CUPTrace, "70F2A84CCBC2AE8625CBB0F2C22AB923", "96D605EA176B7E9E", "C24A8FB57AA20123",
}

// PIN0 is one format 0 field before encipherment.
type PIN0 struct{ PIN, PAN, Want string }

// PIN0s are format 0 fields. The card numbers are the publication's and carry no
// meaning; not all have a good check digit.
var PIN0s = []PIN0{
	{"1234", "5432101234567891", "041215FEDCBA9876"},
	{"1234", "43219876543210987", "0412AC89ABCDEF67"},
	{"92389", "4000001234562", "0592789FFFEDCBA9"},
}

// PIN4 is a format 4 block. The two fields are published, the enciphered block
// is Own.
var PIN4 = struct{ Key, PIN, PAN, Random, PINField, PANField, Block string }{
	"C1D0F8FB4958670DBA40AB1F3752EF0D", "1234", "432198765432109870", "FFFFFFFFFFFFFFFF",
	"441234AAAAAAAAAAFFFFFFFFFFFFFFFF", "64321987654321098700000000000000",
	"8B696FC5A37943E9A13A86FF89F8C4D7",
}

// TR31 is one key block.
type TR31 struct{ Source, KBPK, Key, Block string }

// TR31s are key blocks of every version.
var TR31s = []TR31{
	{TR31of2018, "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6", "3F419E1CB7079442AA37474C2EFBF8B8",
		"D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34"},
	{X9143, "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6", "3F419E1CB7079442AA37474C2EFBF8B8",
		"D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557"},
	{TR31Public, "DD7515F2BFC17F85CE48F3CA25CB21F6", "3F419E1CB7079442AA37474C2EFBF8B8",
		"B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"},
	{TR31Public, "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB", "EEEEEEEEEEEEEEEE",
		"A0088M3TC00E000062C2C14D8785A01A9E8283525CA96F490D0CC6346FC7C2AC1E6FF354468910379AA5BBA6"},
	{TR31Public, "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB", "EEEEEEEEEEEEEEEE",
		"C0088M3TC00E0000A53CF172FE6562E7FDD5E6482E8925DA46F7FFE4D1BAD49EB33A9EDBB96A8A8D39F13A31"},
}

// KCVs are key check values: the first bytes of a zero block under the key.
var KCVs = []struct{ Source, Cipher, Key, Want string }{
	{TR31Public, "3DES", key16, "08D7B4"},
	{CUPTrace, "3DES", "807A23AD32B36D457AE91FDF927570EA", "8D0A74B8"},
	{CUPTrace, "3DES", "5BB5C72CD00B7338", "AB7153CA"},
	{Own, "SM4", key16, "2677F4"},
}
